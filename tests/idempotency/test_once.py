"""What is sent again with the same `Idempotency-Key` is carried out once."""

import asyncio
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.auth.users import Users
from app.core.clock import FrozenClock, to_datetime
from app.core.errors import Unavailable
from app.core.exchange import acting
from app.core.settings import DatabaseSettings
from app.db import audit
from app.db.engine import Database
from app.idempotency.errors import AnswerLost, KeyUsedOtherwise, RequestUnderWay
from app.idempotency.repository import Key
from app.idempotency.service import NAME, Answer, Claim, Claims
from tests.house.test_openapi import OPERATIONS
from tests.support.counts import Counts, forms
from tests.support.http import PASSWORD, Identities, bearer, client_of

NEW_KEY = {"name": "scorer", "scopes": ["models:read"]}
KEY = "5f0c9a3e-7d0b-4d0e-9c53-1f9e5a0b8f11"
WITHOUT = {
    "POST /api/v1/auth/token": "a log-in is harmless to repeat",
    "POST /api/v1/auth/refresh": "its token is its key",
    "POST /api/v1/auth/logout": "ends what has ended",
    "POST /api/v1/models/{model_id}/predictions": "every row has its id",
    "POST /api/v1/models/{model_id}/labels": "every row has its id",
}


async def make(client: httpx.AsyncClient, key: str = KEY, **changes: Any) -> httpx.Response:
    return await client.post("/api-keys", json={**NEW_KEY, **changes}, headers={"Idempotency-Key": key})


async def count(database: Database, table: str = "api_key") -> int:
    async with database.connection() as connection:
        found: int = await connection.fetchval(f"select count(*) from {table}")
        return found


class TestEveryOperation:
    def test_that_creates_or_starts_something_takes_a_key(self) -> None:
        posts = {name: operation for name, operation in OPERATIONS.items() if name.startswith("POST ")}
        without = {
            name
            for name, operation in posts.items()
            if "Idempotency-Key" not in {parameter["name"] for parameter in operation.get("parameters", [])}
        }
        assert without == set(WITHOUT)

    async def test_answers_the_same_again(self, admin: httpx.AsyncClient, database: Database) -> None:
        info = {"model_id": "m1", "model_type": "x", "version": "1", "training_data_hash": "a"}
        for path, body in (
            ("/api-keys", NEW_KEY),
            ("/users", {"email": "grace@example.com", "password": PASSWORD, "role": "viewer"}),
            ("/models/m1/tracking/setup", {"model_info": info, "dataset_config": {}, "monitoring_config": {}}),
            ("/models/m1/versions", {"version": "2"}),
        ):
            first, again = [
                await admin.post(path, json=body, headers={"Idempotency-Key": KEY + path}) for _ in range(2)
            ]
            assert (first.status_code, again.status_code) == (201, 201), path  # without: 201, 409, 200, 200
            assert again.content == first.content
            assert {"content-type": again.headers["content-type"], "etag": again.headers.get("etag")} == {
                "content-type": first.headers["content-type"],
                "etag": first.headers.get("etag"),
            }
            assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
            assert again.headers["x-request-id"] != first.headers["x-request-id"]
        assert (await count(database), await count(database, "model")) == (1, 1)


class TestTheSameKey:
    async def test_with_another_body_or_operation_is_refused(
        self, admin: httpx.AsyncClient, database: Database
    ) -> None:
        assert (await make(admin)).status_code == 201
        for other in (
            await make(admin, name="another"),
            await admin.post("/users", json=NEW_KEY | {"email": "x@y.z"}, headers={"Idempotency-Key": KEY}),
            await admin.post("/models/m/versions", json={"version": "1"}, headers={"Idempotency-Key": KEY}),
        ):
            assert other.status_code == 422
        assert (await make(admin, name="another")).json()["type"] == "/problems/key-used-otherwise"
        assert await count(database) == 1

    async def test_of_another_caller_is_another_key(
        self, app: FastAPI, admin: httpx.AsyncClient, identities: Identities, database: Database
    ) -> None:
        first = await make(admin)
        async with client_of(app, **bearer(await identities.user("admin"))) as other:
            assert (await make(other)).json()["id"] != first.json()["id"]
        assert await count(database) == 2

    @pytest.mark.fault("G8")
    @forms(smoke=4, long=200)
    async def test_many_at_once_make_one(
        self, admin: httpx.AsyncClient, database: Database, size: int, counts: Counts
    ) -> None:
        """Fifty duplicates of each key."""
        for n in range(size):
            answers = await asyncio.gather(*(make(admin, f"key-{n}") for _ in range(50)))
            statuses = [answer.status_code for answer in answers]
            assert set(statuses) <= {201, 409, 503}  # a busy machine has no connection for all fifty in time
            assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
            assert all(
                answer.headers["retry-after"].isdigit() and answer.json()["type"] == "/problems/request-under-way"
                for answer in answers
                if answer.status_code == 409
            )
            assert (await make(admin, f"key-{n}")).status_code == 201
        counts.none("made more or less than once", abs(await count(database) - size), size)
        counts.judge()

    async def test_is_free_again_after_a_refusal(self, admin: httpx.AsyncClient) -> None:
        body = {"email": "grace@example.com", "password": PASSWORD, "role": "viewer"}
        assert (await admin.post("/users", json=body)).status_code == 201
        for _ in range(2):
            taken = await admin.post("/users", json=body, headers={"Idempotency-Key": KEY})
            assert taken.json()["type"] == "/problems/email-taken"
        other = await admin.post("/users", json={**body, "email": "other@x.y"}, headers={"Idempotency-Key": KEY})
        assert other.status_code == 201

    async def test_and_after_24_hours(self, admin: httpx.AsyncClient, app: FastAPI, clock: FrozenClock) -> None:
        first = await make(admin)
        clock.advance(seconds=86_399)
        async with client_of(app, **bearer(await _token(app))) as later:
            assert (await make(later)).json() == first.json()
            clock.advance(seconds=1)
            assert (await make(later)).json()["id"] != first.json()["id"]

    async def test_must_be_a_word(self, admin: httpx.AsyncClient) -> None:
        for key in ("", " ", "x" * 256, "with space", "é"):
            answer = await admin.post("/api-keys", json=NEW_KEY, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["pointer"] == "/header/Idempotency-Key"


class TestWhoMayClaim:
    async def test_nobody_who_may_not_ask(self, app: FastAPI, identities: Identities, database: Database) -> None:
        for token, status in ((await identities.user("viewer"), 403), ("garbage", 401)):
            async with client_of(app, **bearer(token)) as caller:
                assert (await make(caller)).status_code == status
        assert await count(database, "idempotency") == 0

    async def test_nor_with_a_body_that_is_not_valid(self, admin: httpx.AsyncClient, database: Database) -> None:
        assert (await make(admin, scopes=["nonsense"])).status_code == 422
        assert await count(database, "idempotency") == 0


class TestSecrets:
    async def test_the_database_does_not_hold_the_answer(self, admin: httpx.AsyncClient, database: Database) -> None:
        text = (await make(admin)).json()["key"]
        async with database.connection() as connection:
            row = await connection.fetchrow("select * from idempotency")
        assert not any(text[17:].encode() in bytes(value) for value in row.values() if isinstance(value, bytes))
        assert KEY not in str(dict(row))

    async def test_nor_a_hash_of_the_request_that_guesses_could_be_tried_at(
        self, admin: httpx.AsyncClient, database: Database
    ) -> None:
        """Its body may hold a password."""
        body = json.dumps({"email": "grace@example.com", "password": PASSWORD, "role": "viewer"}).encode()
        headers = {"Idempotency-Key": KEY, "Content-Type": "application/json"}
        assert (await admin.post("/users", content=body, headers=headers)).status_code == 201
        plain = hashlib.sha256(b"POST /api/v1/users?\0" + body).digest()
        async with database.connection() as connection:
            kept = await connection.fetchval("select request_digest from idempotency")
        assert plain not in kept
        for known in (b"", KEY.encode(), b"request\0", kept[:NAME]):  # whatever the database or the caller tells
            assert hmac.digest(known, b"request\0" + KEY.encode() + b"\0" + plain, "sha256") not in kept


class TestAnotherSecret:
    """The settings' secret was changed between a request and its repetition."""

    REQUEST = b"d" * 32
    OLD, NEW = b"o" * 32, b"n" * 32

    @pytest.fixture
    async def answered(self, database: Database, clock: FrozenClock) -> Answer:
        claims, answer = Claims(database, clock, self.OLD), Answer(201, (), b"made")
        claim = await claims.claim("user:1", KEY, self.REQUEST, "r")
        assert isinstance(claim, Claim)
        await claims.keep(claim, answer)
        return answer

    async def test_opens_what_was_kept_while_the_old_one_is_known(
        self, answered: Answer, database: Database, clock: FrozenClock
    ) -> None:
        claims = Claims(database, clock, self.NEW, self.OLD)
        assert await claims.claim("user:1", KEY, self.REQUEST, "r") == answered
        with pytest.raises(KeyUsedOtherwise):
            await claims.claim("user:1", KEY, b"another" * 5, "r")

    async def test_else_the_answer_is_lost_and_not_the_request_another(
        self, answered: Answer, database: Database, clock: FrozenClock
    ) -> None:
        with pytest.raises(AnswerLost):
            await Claims(database, clock, self.NEW).claim("user:1", KEY, self.REQUEST, "r")

    async def test_and_what_was_never_answered_is_taken_over_in_its_time(
        self, database: Database, clock: FrozenClock
    ) -> None:
        assert isinstance(await Claims(database, clock, self.OLD).claim("user:1", KEY, self.REQUEST, "dead"), Claim)
        claims = Claims(database, clock, self.NEW)
        with pytest.raises(RequestUnderWay):
            await claims.claim("user:1", KEY, self.REQUEST, "again")
        clock.advance(seconds=60)
        assert isinstance(await claims.claim("user:1", KEY, self.REQUEST, "again"), Claim)


class TestAProcessThatDied:
    """It claimed the key, and its answer never came."""

    REQUEST = b"d" * 32

    @pytest.fixture
    async def claims(self, database: Database, clock: FrozenClock) -> Claims:
        made = Claims(database, clock, b"s" * 32)
        assert isinstance(await made.claim("user:1", KEY, self.REQUEST, "dead"), Claim)
        return made

    async def test_holds_it_for_a_minute(self, claims: Claims, clock: FrozenClock) -> None:
        """Others come again after a second: nobody knows that it is dead, and one that lives has answered by then."""
        for seconds in (0, 59):
            clock.advance(seconds=seconds)
            with pytest.raises(Exception, match="not there yet") as refused:
                await claims.claim("user:1", KEY, self.REQUEST, "again")
            assert refused.value.extra_headers == {"Retry-After": "1"}  # type: ignore[attr-defined]

    async def test_or_longer_where_statements_may_take_longer(self, database_url: str, clock: FrozenClock) -> None:
        patient = Database(database_url, DatabaseSettings(command_timeout_s=10))
        claims = Claims(patient, clock, b"s" * 32)
        assert isinstance(await claims.claim("user:1", KEY, self.REQUEST, "dead"), Claim)
        clock.advance(seconds=119)
        with pytest.raises(RequestUnderWay):
            await claims.claim("user:1", KEY, self.REQUEST, "again")
        clock.advance(seconds=1)
        assert isinstance(await claims.claim("user:1", KEY, self.REQUEST, "again"), Claim)
        await patient.close()

    async def test_before_the_change_was_committed_leaves_it_to_one_other(
        self, claims: Claims, clock: FrozenClock
    ) -> None:
        clock.advance(seconds=60)
        tries = [claims.claim("user:1", KEY, self.REQUEST, f"again-{n}") for n in range(5)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(outcome, Claim) for outcome in outcomes) == 1

    async def test_after_it_was_committed_keeps_it_from_being_done_twice(
        self, claims: Claims, clock: FrozenClock, database: Database
    ) -> None:
        async with database.write() as session:
            with acting("user:1"):
                # what the dead process wrote, in the transaction of its change
                await audit.record(session, to_datetime(clock.now_us()), "api-key.create", "key:x")
        async with database.transaction() as connection:
            await connection.execute("alter table audit disable trigger user")
            await connection.execute("update audit set request_id = 'dead'")
        clock.advance(seconds=60)
        with pytest.raises(Exception, match="carried out before"):
            await claims.claim("user:1", KEY, self.REQUEST, "again")

    async def test_and_its_late_answer_is_not_taken_for_another_s(self, claims: Claims, clock: FrozenClock) -> None:
        clock.advance(seconds=60)
        taken = await claims.claim("user:1", KEY, self.REQUEST, "again")
        assert isinstance(taken, Claim)
        await claims.keep(Claim(taken.key, KEY, "dead"), Answer(201, (), b"late"))
        await claims.keep(taken, Answer(201, (), b"right"))
        kept = await claims.claim("user:1", KEY, self.REQUEST, "third")
        assert kept == Answer(201, (), b"right")


class TestADatabaseThatIsGone:
    async def test_does_not_keep_an_answer_from_being_given(self, clock: FrozenClock) -> None:
        nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing", DatabaseSettings())
        claims = Claims(nowhere, clock, b"s" * 32)
        claim = Claim(Key("user:1", b"d" * 32), KEY, "r")
        await claims.keep(claim, Answer(201, (), b"made"))
        await claims.release(claim)
        with pytest.raises(Unavailable):  # to claim it must be there: nothing is carried out unclaimed
            await claims.claim("user:1", KEY, b"d" * 32, "r")
        await nowhere.close()


class TestSweep:
    async def test_drops_what_is_over_and_nothing_else(
        self, admin: httpx.AsyncClient, app: FastAPI, clock: FrozenClock, database: Database
    ) -> None:
        claims: Claims = app.state.services[Claims]
        for n in range(3):
            await make(admin, f"key-{n}")
        clock.advance(seconds=3000)
        await make(admin, "later")
        assert await claims.sweep() == 0
        clock.advance(seconds=86_400 - 3000)
        assert await claims.sweep() == 3
        assert await count(database, "idempotency") == 1


async def _token(app: FastAPI) -> str:
    """Of the very user that `admin` is, logged in anew: its first token has ended meanwhile."""
    users: Users = app.state.services[Users]
    [admin] = [user for user in (await users.list(None, 100)).rows if user.email.startswith("admin-")]
    return await Identities(app).token_of(admin.email)


class TestOff:
    async def test_without_a_key_nothing_is_kept(self, admin: httpx.AsyncClient, database: Database) -> None:
        first, second = [await admin.post("/api-keys", json=NEW_KEY) for _ in range(2)]
        assert first.json()["id"] != second.json()["id"]
        assert await count(database, "idempotency") == 0
