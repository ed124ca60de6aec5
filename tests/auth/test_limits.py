"""Who is limited by what, over HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.auth.limits import PrincipalLimits
from app.auth.principal import Principal
from app.core.clock import FrozenClock
from app.core.limits import TooManyRequests
from app.core.settings import HttpSettings, LimitsSettings, Settings
from app.db.engine import Database
from app.main import create_app
from tests.support.http import Identities, bearer, client_from, client_of, half_sent, running
from tests.support.models import make_model

PREDICTIONS = b'{"predictions": [{"prediction_id": "p", "score": 0.5, "timestamp": "2026-03-02T11:00:00Z"}]}'


@pytest.fixture
async def app(settings: Settings, clock: FrozenClock, database: Database) -> AsyncIterator[FastAPI]:
    limits = LimitsSettings(
        default="20/minute;6/second", ingest_rows="1000/minute", key_requests="9/minute", failed_per_address="5/minute"
    )
    limited = settings.model_copy(update={"limits": limits})
    async with running(create_app(limited, clock=clock, database=database)) as started:
        yield started


class TestUsers:
    async def test_are_limited_by_requests_and_told_so(self, client: httpx.AsyncClient, identities: Identities) -> None:
        token = bearer(await identities.user("viewer"))
        answers = [await client.get("/auth/me", headers=token) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 6 + [429]
        first, last = answers[0].headers, answers[-1]
        assert first["ratelimit-policy"] == '"second";q=6;w=1, "minute";q=20;w=60'
        assert first["ratelimit"].startswith('"second";r=5;t=1, "minute";r=19;t=')
        assert (first["x-ratelimit-limit"], first["x-ratelimit-remaining"]) == ("6", "5")
        assert "retry-after" not in first
        assert last.json()["type"] == "/problems/too-many-requests"
        assert last.headers["retry-after"] == "1"

    async def test_each_for_himself_and_over_all_operations(
        self, client: httpx.AsyncClient, identities: Identities
    ) -> None:
        one, other = bearer(await identities.user("viewer")), bearer(await identities.user("viewer"))
        paths = ["/auth/me", "/models", "/models/none", "/analytics/performance/summary", "/users", "/models"]
        for path in paths:
            assert (await client.get(path, headers=one)).status_code != 429
        assert (await client.get("/auth/me", headers=one)).status_code == 429
        assert (await client.get("/auth/me", headers=other)).status_code == 200

    async def test_health_documentation_and_files_are_not_limited(
        self, client: httpx.AsyncClient, identities: Identities
    ) -> None:
        for path in ("/system/health", "/system/health/ready", "/openapi.json", "http://test/docs"):
            answers = [await client.get(path) for _ in range(12)]
            assert {answer.status_code for answer in answers} == {200}
            assert "ratelimit" not in answers[0].headers
        for known in (await identities.user("viewer"), await identities.key("models:read")):
            answers = [await client.get("/system/health", headers=bearer(known)) for _ in range(12)]
            assert {answer.status_code for answer in answers} == {200}
            assert (await client.get("/auth/me", headers=bearer(known))).headers["x-ratelimit-remaining"] in {"5", "8"}
        guesses = [bearer(f"aqt_abcdefghijk2_{n:043}") for n in range(7)]
        wrong = [(await client.get("/system/health", headers=guess)).status_code for guess in guesses]
        assert wrong == [401] * 5 + [429] * 2

    async def test_addresses_that_callers_claim_do_not_count(self, client: httpx.AsyncClient) -> None:
        answers = [
            await client.post(
                "/auth/refresh", headers={"X-Forwarded-For": f"10.0.0.{n}", "Forwarded": f"for=10.0.1.{n}"}
            )
            for n in range(8)
        ]
        assert [answer.status_code for answer in answers[-2:]] == [429, 429]

    @pytest.mark.parametrize("body", [b"{", b'{"refresh_token": 1}', b'{"other": "x"}'])
    async def test_what_is_no_request_counts_where_nobody_says_who_asks(
        self, client: httpx.AsyncClient, body: bytes
    ) -> None:
        json = {"Content-Type": "application/json"}
        answers = [await client.post("/auth/refresh", content=body, headers=json) for _ in range(7)]
        assert answers[0].status_code in {400, 422}
        assert answers[-1].status_code == 429

    async def test_but_those_that_a_trusted_proxy_saw(
        self, settings: Settings, clock: FrozenClock, database: Database
    ) -> None:
        changed = {
            "limits": LimitsSettings(default="2/minute"),
            "http": HttpSettings(trusted_hosts=("*",), trusted_proxies=("203.0.113.7",)),
        }
        app = create_app(settings.model_copy(update=changed), clock=clock, database=database)
        async with running(app), client_of(app) as client:
            seen = [{"X-Forwarded-For": f"198.51.100.{n // 3}"} for n in range(6)]
            answers = [await client.post("/auth/refresh", headers=headers) for headers in seen]
        assert [answer.status_code for answer in answers] == [401, 401, 429] * 2


class TestKeys:
    async def test_are_limited_by_requests_and_told_so(self, client: httpx.AsyncClient, identities: Identities) -> None:
        key, other = bearer(await identities.key("models:read")), bearer(await identities.key("models:read"))
        answers = [await client.get("/models", headers=key) for _ in range(10)]
        assert [answer.status_code for answer in answers] == [200] * 9 + [429]
        assert answers[0].headers["ratelimit-policy"] == '"minute";q=9;w=60'
        assert (await client.get("/models", headers=other)).status_code == 200

    async def test_but_those_that_send_are_not(
        self, client: httpx.AsyncClient, identities: Identities, database: Database
    ) -> None:
        await make_model(database, "m")
        key = bearer(await identities.key("predictions:write", "labels:write"))
        for kind, row in {"predictions": {"score": 0.5}, "labels": {"actual": "1"}}.items():
            sent = [
                await client.post(f"/models/m/{kind}", json={kind: [{"prediction_id": f"p{n}", **row}]}, headers=key)
                for n in range(12)
            ]
            assert {answer.status_code for answer in sent} == {201}

    async def test_are_told_what_is_left_of_their_rows(
        self, client: httpx.AsyncClient, identities: Identities, database: Database
    ) -> None:
        await make_model(database, "m")
        key = bearer(await identities.key("predictions:write", "labels:write"))
        rows = [{"prediction_id": f"p{n}", "score": 0.5} for n in range(600)]
        stored = await client.post("/models/m/predictions", json={"predictions": rows}, headers=key)
        assert stored.status_code == 201
        assert stored.headers["ratelimit-policy"] == '"minute";q=1000;w=60'
        assert stored.headers["ratelimit"].startswith('"minute";r=400;t=')
        single = await client.post("/models/m/predictions", json={"predictions": rows[:1]}, headers=key)
        assert (single.status_code, single.headers["x-ratelimit-remaining"]) == (201, "399")
        labels = [{"prediction_id": f"p{n}", "actual": "1"} for n in range(600)]
        refused = await client.post("/models/m/labels", json={"labels": labels}, headers=key)
        assert (refused.status_code, refused.headers["x-ratelimit-limit"]) == (429, "1000")
        assert int(refused.headers["retry-after"]) >= 1

    async def test_but_by_rows(self, app: FastAPI) -> None:
        limits: PrincipalLimits = app.state.services[PrincipalLimits]
        key = Principal("key:a", "key", frozenset())
        await limits.rows(key, 900)
        with pytest.raises(TooManyRequests) as refused:
            await limits.rows(key, 200)
        assert int(refused.value.extra_headers["Retry-After"]) >= 1
        await limits.rows(Principal("key:b", "key", frozenset()), 1000)
        await limits.rows(Principal("user:1", "user", frozenset()), 10_000)

    async def test_of_which_no_more_come_at_once_than_ever_pass(
        self, client: httpx.AsyncClient, identities: Identities, database: Database
    ) -> None:
        await make_model(database, "m")
        key = bearer(await identities.key("predictions:write"))
        refused = await send(client, key, "m", rows=1001)
        assert (refused.status_code, refused.json()["type"]) == (413, "/problems/larger-than-limit")
        assert (refused.json()["limit"], refused.json()["window_s"]) == (1000, 60)
        assert "retry-after" not in refused.headers
        assert (await send(client, key, "m", rows=1000)).status_code == 201


class TestKeysThatSendNoRows:
    """A request of a key that was refused before its rows were counted is counted as a request."""

    @pytest.fixture
    async def key(self, identities: Identities, database: Database) -> dict[str, str]:
        await make_model(database, "m")
        return bearer(await identities.key("predictions:write"))

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("/models/m/predictions", b"{", 400),
            ("/models/m/predictions", b"", 400),
            ("/models/m/predictions", b'{"predictions": []}', 422),
            ("/models/m/predictions", b'{"predictions": [{"prediction_id": 1, "score": 0.5}]}', 422),
            ("/models/m/predictions?import=perhaps", b"", 422),
            ("/models/m/predictions?import=true", PREDICTIONS, 403),
            ("/models/none/predictions", PREDICTIONS, 404),
            ("/models/m/labels", b'{"labels": [{"prediction_id": "p", "actual": "1"}]}', 403),
        ],
    )
    async def test_are_refused_when_they_have_used_up_what_requests_they_have(
        self, client: httpx.AsyncClient, key: dict[str, str], path: str, body: bytes, status: int
    ) -> None:
        headers = {**key, "Content-Type": "application/json"}
        answers = [await client.post(path, content=body, headers=headers) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [status] * 9 + [429] * 2
        assert answers[-1].headers["ratelimit-policy"] == '"minute";q=9;w=60'
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (await send(client, key, "m")).status_code == 429

    async def test_count_beside_the_others(self, client: httpx.AsyncClient, identities: Identities) -> None:
        key = bearer(await identities.key("predictions:write", "models:read"))
        wrong = [(await client.post("/models/m/predictions", content=b"{", headers=key)).status_code for _ in range(5)]
        right = [(await client.get("/models", headers=key)).status_code for _ in range(5)]
        assert (wrong, right) == ([404] * 5, [200] * 4 + [429])

    async def test_as_do_bodies_for_rows_that_are_used_up(self, client: httpx.AsyncClient, key: dict[str, str]) -> None:
        assert (await send(client, key, "m", rows=1000)).status_code == 201
        refused = [await send(client, key, "m", rows=1) for _ in range(10)]
        assert {answer.status_code for answer in refused} == {429}
        assert [answer.headers["x-ratelimit-limit"] for answer in refused] == ["1000"] * 9 + ["9"]

    async def test_as_do_those_that_leave_while_they_send(
        self, app: FastAPI, client: httpx.AsyncClient, key: dict[str, str]
    ) -> None:
        for _ in range(9):
            await half_sent(app, "/api/v1/models/m/predictions", key)
        assert (await send(client, key, "m")).status_code == 429

    async def test_while_good_ones_and_other_keys_go_on(
        self, client: httpx.AsyncClient, key: dict[str, str], identities: Identities
    ) -> None:
        for n in range(12):
            assert (await send(client, key, "m", first=n)).status_code == 201
            assert (await send(client, key, "m", first=n)).json()["duplicates"] == 1
        for _ in range(10):
            await client.post("/models/m/predictions", content=b"{", headers=key)
        assert (await send(client, key, "m", first=12)).status_code == 429
        other = bearer(await identities.key("predictions:write"))
        assert (await send(client, other, "m", first=12)).status_code == 201


async def send(
    client: httpx.AsyncClient, key: dict[str, str], model: str, *, rows: int = 1, first: int = 0
) -> httpx.Response:
    body = {"predictions": [{"prediction_id": f"p{first + n}", "score": 0.5} for n in range(rows)]}
    return await client.post(f"/models/{model}/predictions", json=body, headers=key)


class TestWrongCredentials:
    async def test_are_limited_by_address(
        self, app: FastAPI, client: httpx.AsyncClient, identities: Identities
    ) -> None:
        good = bearer(await identities.key("models:read"))
        assert (await client.get("/models", headers=good)).status_code == 200
        guesses = [bearer("aqt_abcdefghijk2_" + f"{n:043}") for n in range(8)]
        answers = [await client.get("/models", headers=guess) for guess in guesses]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[-1].headers["ratelimit-policy"] == '"minute";q=5;w=60'
        async with client_from(app, "198.51.100.1") as other:
            assert (await other.get("/models", headers=guesses[0])).status_code == 401

    async def test_shut_nobody_out_who_was_let_in_before(
        self, client: httpx.AsyncClient, identities: Identities, clock: FrozenClock
    ) -> None:
        good, unseen = bearer(await identities.key("models:read")), bearer(await identities.key("models:read"))
        assert (await client.get("/models", headers=good)).status_code == 200
        for n in range(8):
            await client.get("/models", headers=bearer("aqt_abcdefghijk2_" + f"{n:043}"))
        clock.advance(seconds=6)  # the database is asked again
        assert (await client.get("/models", headers=good)).status_code == 200
        assert (await client.get("/models", headers=unseen)).status_code == 429
        token = bearer(await identities.user("viewer"))  # nobody guesses what we sign
        assert (await client.get("/models", headers=token)).status_code == 200

    async def test_that_cost_no_query_are_just_wrong(
        self, client: httpx.AsyncClient, identities: Identities, clock: FrozenClock
    ) -> None:
        expired = await identities.user("viewer")
        clock.advance(seconds=3700)
        wrong = [expired, "garbage"] * 6
        assert {(await client.get("/auth/me", headers=bearer(token))).status_code for token in wrong} == {401}

    async def test_of_a_log_in_that_ended_count(self, client: httpx.AsyncClient, identities: Identities) -> None:
        ended = bearer(await identities.user("viewer"))
        assert (await client.post("/auth/logout", headers=ended)).status_code == 204
        answers = [await client.get("/auth/me", headers=ended) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2


class TestLogIn:
    async def test_five_tries_a_minute_at_one_account(self, client: httpx.AsyncClient) -> None:
        form = {"username": "admin@example.com", "password": "wrong"}
        tries = [(await client.post("/auth/token", data=form)).status_code for _ in range(7)]
        assert tries == [401] * 5 + [429] * 2

    async def test_also_where_the_case_of_the_address_changes(self, client: httpx.AsyncClient) -> None:
        names = ["admin@example.com", "Admin@example.com", "ADMIN@example.com", " admin@example.com"] * 2
        tries = [
            (await client.post("/auth/token", data={"username": name, "password": "wrong"})).status_code
            for name in names
        ]
        assert tries.count(401) == 5

    async def test_twenty_from_one_address(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        tries = [
            (await client.post("/auth/token", data={"username": f"u{n}@example.com", "password": "wrong"})).status_code
            for n in range(23)
        ]
        assert tries == [401] * 20 + [429] * 3
        async with client_from(app, "198.51.100.1") as other:
            answer = await other.post("/auth/token", data={"username": "u1@example.com", "password": "wrong"})
        assert answer.status_code == 401

    async def test_is_told_of_both_limits(self, client: httpx.AsyncClient) -> None:
        form = {"username": "admin@example.com", "password": "wrong"}
        answers = [await client.post("/auth/token", data=form) for _ in range(6)]
        told = '"address-minute";q=20;w=60, "account-minute";q=5;w=60'
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {told}
        assert answers[0].headers["ratelimit"].startswith('"address-minute";r=19;t=')
        assert '"account-minute";r=4;t=' in answers[0].headers["ratelimit"]
        assert answers[0].headers["x-ratelimit-limit"] == "5"
        assert answers[-1].headers["ratelimit"].startswith('"account-minute";r=0;t=')

    @pytest.mark.parametrize("form", [{"username": "admin@example.com"}, {"password": "x"}, {}])
    async def test_that_is_not_valid_counts_too(self, client: httpx.AsyncClient, form: dict[str, str]) -> None:
        answers = [(await client.post("/auth/token", data=form)).status_code for _ in range(22)]
        counted = 5 if "username" in form else 20
        assert answers == [422] * counted + [429] * (22 - counted)

    async def test_is_refused_where_tries_cannot_be_counted(
        self, settings: Settings, clock: FrozenClock, database: Database
    ) -> None:
        nowhere = Settings(_env_file=None, **{**settings.model_dump(), "redis_url": "redis://127.0.0.1:1/0"})
        app = create_app(nowhere, clock=clock, database=database)
        async with running(app), client_of(app) as client:
            form = {"username": "admin@example.com", "password": "a-long-first-password"}
            assert (await client.post("/auth/token", data=form)).status_code == 503
            assert (await client.post("/auth/refresh")).status_code == 401
