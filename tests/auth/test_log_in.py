"""Logging in, staying logged in, logging out."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.auth.authenticate import Authenticator
from app.auth.errors import InvalidCredentials
from app.auth.passwords import Passwords
from app.auth.scopes import SCOPES_OF, Role
from app.auth.service import LogIns
from app.auth.tokens import Tokens, shared_key
from app.auth.users import Users
from app.core.clock import FrozenClock
from app.db.engine import Database
from tests.support.counts import Counts, forms
from tests.support.http import PASSWORD, Identities, bearer, client_of

EMAIL = "ada@example.com"
REFRESH = "/auth/refresh"


@pytest.fixture
async def ada(app: FastAPI) -> int:
    users: Users = app.state.services[Users]
    return (await users.create("Ada@Example.com", PASSWORD, Role.DATA_SCIENTIST)).id


class _Meanwhile(Passwords):
    """Lets something happen between the check of a password and what comes of it."""

    def __init__(self, happens: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._happens = happens

    async def verify(self, stored: str | None, password: str) -> bool:
        fits = await super().verify(stored, password)
        await self._happens()
        return fits


async def log_in(
    client: httpx.AsyncClient, email: str = EMAIL, password: str = PASSWORD, **more: str
) -> httpx.Response:
    return await client.post("/auth/token", data={"username": email, "password": password, **more})


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(REFRESH, json={"refresh_token": token})


@pytest.mark.usefixtures("ada")
class TestLogIn:
    async def test_gives_tokens_and_says_what_they_are_for(self, client: httpx.AsyncClient) -> None:
        answer = await log_in(client)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
        assert set(body["scope"].split()) == SCOPES_OF[Role.DATA_SCIENTIST]
        me = await client.get("/auth/me", headers=bearer(body["access_token"]))
        assert (me.json()["name"], me.json()["role"]) == (EMAIL, "data_scientist")

    async def test_takes_a_form(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/auth/token", json={"username": EMAIL, "password": PASSWORD})
        assert answer.status_code == 415
        assert "application/x-www-form-urlencoded" in answer.json()["supported"]

    @pytest.mark.parametrize("charset", ["punycode", "utf-16", "none-such", '"UTF-7"'])
    async def test_in_no_other_encoding(self, client: httpx.AsyncClient, charset: str) -> None:
        """Each is as good as another to Python; some take minutes for a megabyte."""
        body = b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nx\r\n--b--\r\n'
        kind = {"Content-Type": f"multipart/form-data; charset={charset}; boundary=b"}
        answer = await client.post("/auth/token", content=body, headers=kind)
        assert (answer.status_code, answer.json()["detail"]) == (415, "a form is read in UTF-8 only")

    @pytest.mark.parametrize("path", ["/auth/token", REFRESH])
    async def test_of_strangers_little_is_read(self, client: httpx.AsyncClient, path: str) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post(path, content=b"username=" + b"a" * 10_000, headers=form)
        assert (answer.status_code, answer.json()["limit_bytes"]) == (413, 8192)

    async def test_no_account_has_a_long_name_so_none_is_looked_for(self, client: httpx.AsyncClient) -> None:
        form = {"username": "a" + "\u0300\u0316" * 600, "password": PASSWORD}
        begun = time.thread_time()
        assert (await client.post("/auth/token", data=form)).status_code == 422
        assert time.thread_time() - begun < 0.5

    async def test_the_case_of_the_address_does_not_matter(self, client: httpx.AsyncClient) -> None:
        assert (await log_in(client, "ADA@example.COM")).status_code == 200

    @pytest.mark.parametrize(
        ("email", "password"),
        [(EMAIL, "wrong"), (EMAIL, ""), ("nobody@example.com", PASSWORD), ("", ""), (EMAIL, PASSWORD + " ")],
    )
    async def test_wrong_account_and_wrong_password_look_the_same(
        self, client: httpx.AsyncClient, email: str, password: str
    ) -> None:
        answer = await log_in(client, email, password)
        assert answer.status_code in {401, 422}
        if answer.status_code == 401:
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json()["type"] == "/problems/invalid-credentials"
            assert answer.json()["detail"] == "the account or the password is wrong"
        assert EMAIL not in answer.text

    @pytest.mark.parametrize(
        "wrong", ["wrong-password", "wro\u0308ng-password"]
    )  # the second is tried in two spellings
    async def test_and_take_the_same_time(self, client: httpx.AsyncClient, wrong: str) -> None:
        times: dict[str, list[float]] = {EMAIL: [], "nobody@example.com": []}
        for _ in range(5):
            for email, spent in times.items():
                begun = time.perf_counter()
                await log_in(client, email, wrong)
                spent.append(time.perf_counter() - begun)
        known, unknown = (statistics.median(spent) for spent in times.values())
        assert known / unknown == pytest.approx(1, abs=0.5)  # wide: other work runs on this machine

    async def test_a_disabled_user_stays_out(self, app: FastAPI, client: httpx.AsyncClient, ada: int) -> None:
        users: Users = app.state.services[Users]
        await users.change(ada, disabled=True)
        assert (await log_in(client)).status_code == 401
        await users.change(ada, disabled=False)
        assert (await log_in(client)).status_code == 200

    @pytest.mark.parametrize(
        "during", [{"password": "another-password-of-hers"}, {"disabled": True}, {"role": Role.VIEWER}]
    )
    async def test_the_check_of_a_password_may_last_longer_than_the_password(
        self, app: FastAPI, database: Database, clock: FrozenClock, ada: int, during: dict[str, Any]
    ) -> None:
        """What was right when it was looked at is not when the log-in is written."""
        users: Users = app.state.services[Users]
        slow = LogIns(
            database,
            Tokens(shared_key(b"s" * 32), issuer="assay", audience="assay-api", expiry_s=3600, clock=clock),
            _Meanwhile(lambda: users.change(ada, **during)),
            app.state.services[Authenticator],
            clock,
            successor_key=b"s" * 32,
        )
        with pytest.raises(InvalidCredentials):
            await slow.log_in(EMAIL, PASSWORD)
        await users.change(ada, disabled=False)
        async with database.connection() as connection:
            assert await connection.fetchval("select count(*) from log_in where user_id = $1", ada) == 0
            last = "select object, outcome from audit where action = 'log-in.begin' order by id desc limit 1"
            assert tuple(await connection.fetchrow(last)) == (f"user:{ada}", "refused")

    async def test_a_token_ends(self, client: httpx.AsyncClient, clock: FrozenClock) -> None:
        token = bearer((await log_in(client)).json()["access_token"])
        clock.advance(seconds=3599)
        assert (await client.get("/auth/me", headers=token)).status_code == 200
        clock.advance(seconds=60)
        assert (await client.get("/auth/me", headers=token)).status_code == 401


@pytest.mark.usefixtures("ada")
class TestRefresh:
    async def test_gives_a_new_pair_each_time(self, client: httpx.AsyncClient) -> None:
        token = (await log_in(client)).json()["refresh_token"]
        seen = {token}
        for _ in range(4):
            answer = await refresh(client, token)
            assert answer.status_code == 200
            assert (await client.get("/auth/me", headers=bearer(answer.json()["access_token"]))).status_code == 200
            token = answer.json()["refresh_token"]
            assert token not in seen
            seen.add(token)

    async def test_a_second_use_ends_the_log_in(self, client: httpx.AsyncClient, clock: FrozenClock) -> None:
        first = (await log_in(client)).json()["refresh_token"]
        second = (await refresh(client, first)).json()
        clock.advance(seconds=11)
        stolen = await refresh(client, first)
        assert stolen.status_code == 401
        assert (await refresh(client, second["refresh_token"])).status_code == 401
        assert (await client.get("/auth/me", headers=bearer(second["access_token"]))).status_code == 401

    async def test_a_client_that_lost_the_answer_gets_the_same_successor(
        self, client: httpx.AsyncClient, clock: FrozenClock
    ) -> None:
        first = (await log_in(client)).json()["refresh_token"]
        answer = (await refresh(client, first)).json()
        clock.advance(seconds=9)
        again = await refresh(client, first)
        assert again.status_code == 200
        assert again.json()["refresh_token"] == answer["refresh_token"]

    async def test_another_client_does_not(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        first = (await log_in(client)).json()["refresh_token"]
        second = (await refresh(client, first)).json()["refresh_token"]
        async with client_of(app, **{"User-Agent": "another"}) as thief:
            assert (await refresh(thief, first)).status_code == 401
        assert (await refresh(client, second)).status_code == 401

    async def test_nor_does_who_comes_after_the_successor_was_used(self, client: httpx.AsyncClient) -> None:
        first = (await log_in(client)).json()["refresh_token"]
        second = (await refresh(client, first)).json()["refresh_token"]
        third = (await refresh(client, second)).json()["refresh_token"]
        assert (await refresh(client, first)).status_code == 401
        assert (await refresh(client, third)).status_code == 401

    @pytest.mark.fault("G14")
    @forms(smoke=20, long=2000)
    async def test_two_at_once_never_leave_two_living_families(
        self, client: httpx.AsyncClient, size: int, counts: Counts
    ) -> None:
        alive = []
        for _ in range(size):
            token = (await log_in(client)).json()["refresh_token"]
            pair = await asyncio.gather(refresh(client, token), refresh(client, token))
            given = {answer.json()["refresh_token"] for answer in pair if answer.status_code == 200}
            alive.append(len(given))
        counts.none("pairs at once that left not one living token", [number for number in alive if number != 1], size)
        counts.judge()

    @pytest.mark.fault("G14")
    @forms(smoke=20, long=2000)
    async def test_a_reused_token_ends_its_family_at_once(
        self, app: FastAPI, client: httpx.AsyncClient, clock: FrozenClock, size: int, counts: Counts
    ) -> None:
        """Of each pair one is used by its owner and again by a thief; what is left alive is counted."""
        alive = 0
        for _ in range(size):
            stolen = (await log_in(client)).json()["refresh_token"]
            given = (await refresh(client, stolen)).json()
            clock.advance(seconds=11)
            async with client_of(app, **{"User-Agent": "thief"}) as thief:
                alive += (await refresh(thief, stolen)).status_code == 200
            alive += (await refresh(client, given["refresh_token"])).status_code == 200
            alive += (await client.get("/auth/me", headers=bearer(given["access_token"]))).status_code == 200
        counts.none("tokens alive after a reuse", alive, 3 * size)
        counts.judge()

    @pytest.mark.parametrize(("days", "status"), [(6.9, 200), (7.1, 401)])
    async def test_an_idle_token_ends(
        self, client: httpx.AsyncClient, clock: FrozenClock, days: float, status: int
    ) -> None:
        token = (await log_in(client)).json()["refresh_token"]
        clock.advance(seconds=days * 86_400)
        assert (await refresh(client, token)).status_code == status

    async def test_a_log_in_ends_after_thirty_days_of_use(self, client: httpx.AsyncClient, clock: FrozenClock) -> None:
        token = (await log_in(client)).json()["refresh_token"]
        for _ in range(5):
            clock.advance(seconds=5.9 * 86_400)
            token = (await refresh(client, token)).json()["refresh_token"]
        clock.advance(seconds=86_400)
        assert (await refresh(client, token)).status_code == 401

    @pytest.mark.parametrize("token", ["", "aqr_nothing", "x" * 512, "é"])
    async def test_refuses_what_was_never_given(self, client: httpx.AsyncClient, token: str) -> None:
        answer = await refresh(client, token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["cache-control"] == "no-store"

    async def test_needs_a_token(self, client: httpx.AsyncClient) -> None:
        assert (await client.post(REFRESH)).status_code == 401


@pytest.mark.usefixtures("ada")
class TestCookie:
    async def test_a_browser_gets_the_refresh_token_where_no_script_reads_it(self, client: httpx.AsyncClient) -> None:
        answer = await log_in(client, cookie="true")
        assert answer.json()["refresh_token"] is None
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/api/v1/auth/refresh" in cookie
        renewed = await client.post(REFRESH)
        assert renewed.status_code == 200
        assert renewed.json()["refresh_token"] is None
        assert renewed.headers["set-cookie"] != cookie

    async def test_others_beside_it_are_not_read(self, client: httpx.AsyncClient) -> None:
        """Python before 3.11.10 takes a second to read 16 kB of backslashes."""
        await log_in(client, cookie="true")
        (own,) = [f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar]
        client.cookies.clear()
        evil = 'assay_refresh="' + "\\" * 16_000 + '"'
        begun = time.thread_time()
        answer = await client.get("http://test/.well-known/jwks.json", headers={"Cookie": evil})
        assert answer.status_code == 200
        assert (await client.post(REFRESH, headers={"Cookie": evil})).status_code == 401
        assert (await client.post(REFRESH, headers={"Cookie": f"{evil}; {own}; other=1"})).status_code == 200
        assert time.thread_time() - begun < 0.5

    async def test_logging_out_takes_it_away(self, client: httpx.AsyncClient) -> None:
        token = bearer((await log_in(client, cookie="true")).json()["access_token"])
        answer = await client.post("/auth/logout", headers=token)
        assert answer.status_code == 204
        assert 'assay_refresh=""' in answer.headers["set-cookie"]
        assert (await client.post(REFRESH)).status_code == 401


@pytest.mark.usefixtures("ada")
class TestLogOut:
    async def test_an_api_key_has_nothing_to_end(self, client: httpx.AsyncClient, identities: Identities) -> None:
        key = bearer(await identities.key("models:read"))
        answer = await client.post("/auth/logout", headers=key)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/no-log-in")
        assert "revoke" in answer.json()["detail"]
        assert (await client.get("/auth/me", headers=key)).status_code == 200

    async def test_ends_all_tokens_of_the_log_in_and_no_others(self, client: httpx.AsyncClient) -> None:
        mine, other = (await log_in(client)).json(), (await log_in(client)).json()
        assert (await client.post("/auth/logout", headers=bearer(mine["access_token"]))).status_code == 204
        assert (await client.get("/auth/me", headers=bearer(mine["access_token"]))).status_code == 401
        assert (await refresh(client, mine["refresh_token"])).status_code == 401
        assert (await client.get("/auth/me", headers=bearer(other["access_token"]))).status_code == 200
