"""Every route × every identity answers as the one table says. A new route can't forget to be guarded or tested."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from app.auth.guards import Guard, Public, demand_guards, guarded
from app.auth.scopes import KEY_SCOPES, ROLES_OF, SCOPES_OF, Role
from app.core.clock import FrozenClock
from app.core.settings import Settings
from app.main import create_app
from tests.support.http import Identities, bearer

PUBLIC = {
    "GET /api/v1/system/health",
    "GET /api/v1/system/health/live",
    "GET /api/v1/system/health/ready",
    "POST /api/v1/auth/token",
    "POST /api/v1/auth/refresh",
    "GET /.well-known/jwks.json",
    "GET /api/v1/openapi.json",
    "GET /docs",
    "GET /redoc",
    "GET /metrics",  # has a token of its own, demanded in production
}
"""All that answers without a token. Pages of the dashboard hold no data and are listed by `PAGES`."""

PAGES = re.compile(r"GET /(?!api/|metrics)")

EVERYTHING = Settings(
    _env_file=None, database={"url": "postgresql://unused/unused"}, auth={"secret": "a-secret-of-the-tests-long-enough"}
)


def _operations() -> list[tuple[str, str, Guard]]:
    return [
        (method, context.path_format, guards[0])
        for context, guards in guarded(create_app(EVERYTHING).routes)
        for method in sorted(context.methods)
    ]


OPERATIONS = _operations()
LOG_OUT = "/api/v1/auth/logout"  # ends the very identity that asks, so it comes last
GUARDED = sorted(
    (operation for operation in OPERATIONS if not operation[2].public), key=lambda operation: operation[1] == LOG_OUT
)
ENDLESS = "/stream"  # such operations answer for as long as the caller listens
STREAMS = (ENDLESS, "/events")

GROWING = {"/metrics", "/api/v1/system/health"}


def address(path: str, model: str = "none") -> str:
    """The path with something in its places."""
    filled = path.replace("{model_id}", model).replace("{user_id}", "2147483647").replace("{key_id}", "aaaaaaaaaaaa")
    return "http://test" + re.sub(r"\{[^}]+\}", "none", filled)


@pytest.fixture
async def identities_of_all(app: FastAPI, identities: Identities, clock: FrozenClock) -> dict[str, str]:
    """A token of every role, a key with all scopes a key can have, and an expired token."""
    expired = await identities.user(Role.ADMIN)
    clock.advance(seconds=3700)
    made = {role.value: await identities.user(role) for role in Role}
    return {**made, "key": await identities.key(*KEY_SCOPES), "expired": expired}


def allowed(who: str, guard: Guard) -> bool:
    if guard.scope is None:
        return True
    return guard.scope in (KEY_SCOPES if who == "key" else SCOPES_OF[Role(who)])


class TestEveryRoute:
    def test_has_one_guard_and_the_public_ones_are_listed(self) -> None:
        public = {f"{method} {path}" for method, path, guard in OPERATIONS if guard.public}
        assert {name for name in public if not PAGES.match(name)} == {n for n in PUBLIC if not PAGES.match(n)}
        assert len(GUARDED) >= 30

    async def test_answers_each_identity_as_the_table_says(
        self, client: httpx.AsyncClient, identities_of_all: dict[str, str]
    ) -> None:
        """Nothing is sent that an operation could act on; whoever is let in gets another answer than 401 and 403."""
        wrong = []
        for method, path, guard in GUARDED:
            for who, token in [*identities_of_all.items(), ("nobody", ""), ("garbage", "garbage")]:
                if path.endswith(ENDLESS) and who in identities_of_all and who != "expired" and allowed(who, guard):
                    continue
                status = await _status(client, method, path, token)
                if who in {"nobody", "garbage", "expired"}:
                    expected = status == 401
                else:
                    expected = (status not in {401, 403}) if allowed(who, guard) else status == 403
                if not expected:
                    wrong.append((who, method, path, status))
        assert wrong == []

    async def test_reads_nothing_of_a_stranger_s_body(self, client: httpx.AsyncClient) -> None:
        read = []

        async def body(name: str) -> AsyncIterator[bytes]:
            read.append(name)
            yield b"{"

        json = {"Content-Type": "application/json"}
        statuses = {
            (await client.request(method, address(path), content=body(f"{method} {path}"), headers=json)).status_code
            for method, path, _ in GUARDED
        }
        assert (read, statuses) == ([], {401})

    async def test_answers_nothing_with_5xx(self, client: httpx.AsyncClient, identities_of_all: dict[str, str]) -> None:
        statuses = {
            f"{method} {path}": await _status(client, method, path, identities_of_all["admin"])
            for method, path, _ in GUARDED
            if not path.endswith(ENDLESS)
        }
        assert {name: status for name, status in statuses.items() if status >= 500} == {}

    async def test_that_answers_get_answers_head_alike(self, admin: httpx.AsyncClient) -> None:
        """Without the body. Numbers that grow from one request to the next are left out."""
        wrong = []
        for method, path, _ in OPERATIONS:
            if method != "GET" or path in GROWING:
                continue
            head = await admin.head(address(path))
            if path.endswith(STREAMS):
                told = (head.status_code, head.headers["allow"]) == (405, "GET")
            else:
                got = await admin.get(address(path))
                length = got.headers["content-length"], str(len(got.content))
                told = (head.status_code, *[head.headers["content-length"]] * 2) == (got.status_code, *length)
            if not told or head.content:
                wrong.append((path, head.status_code))
        assert wrong == []


class TestDenyByDefault:
    @pytest.mark.parametrize("dependencies", [[], [Public, Public]], ids=["none", "two"])
    def test_a_route_without_one_guard_stops_the_start(self, dependencies: list[Any]) -> None:
        router = APIRouter()

        @router.get("/forgotten", dependencies=dependencies)
        async def forgotten() -> None:
            return None

        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.include_router(router)
        with pytest.raises(RuntimeError, match="forgotten"):
            demand_guards(app.routes)


class TestTable:
    """The table of the specification, once more by hand; a change of rights must be made in both places."""

    ROWS = """
        models:read analytics:read                                 | v d e s t a | k
        data:import                                                |           a | k
        predictions:write labels:write models:write datasets:write |   d e s t a | k
        training:run                                               |   d e s t a | k
        comparison:read                                            |   d e s t a |
        comparison:run                                             |       s t a |
        deployments:manage                                         |     e s t a |
        deployments:abort                                          |     e s t a | k
        deployments:promote                                        |       s t a |
        alerts:manage channels:manage                              |     e s t a |
        reports:export                                             |         t a |
        system:read                                                |     e   t a |
        system:operate users:manage audit:read purge               |           a |
    """
    LETTERS: ClassVar = dict(zip("vdesta", Role, strict=True))

    def rows(self) -> Iterator[tuple[str, set[Role], bool]]:
        for line in self.ROWS.strip().splitlines():
            scopes, roles, key = line.split("|")
            for scope in scopes.split():
                yield scope, {self.LETTERS[letter] for letter in roles.split()}, bool(key.strip())

    def test_is_what_the_specification_says(self) -> None:
        assert {scope: roles for scope, roles, _ in self.rows()} == ROLES_OF
        assert {scope for scope, _, key in self.rows() if key} == KEY_SCOPES

    def test_a_senior_may_what_a_data_scientist_may_and_a_lead_what_both_may(self) -> None:
        assert SCOPES_OF[Role.DATA_SCIENTIST] <= SCOPES_OF[Role.SENIOR_DATA_SCIENTIST] <= SCOPES_OF[Role.TEAM_LEAD]
        assert SCOPES_OF[Role.ML_ENGINEER] <= SCOPES_OF[Role.TEAM_LEAD] <= SCOPES_OF[Role.ADMIN]


async def _status(client: httpx.AsyncClient, method: str, path: str, token: str) -> int:
    return (await client.request(method, address(path), headers=bearer(token) if token else {})).status_code
