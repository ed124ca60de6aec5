"""Every header that an answer carries is told by the OpenAPI document, and what it tells of good answers is sent."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.core.clock import FrozenClock
from app.core.errors import RETRY_AFTER, Problem
from app.core.headers import HEADERS
from app.core.settings import LimitsSettings, Settings
from app.db.engine import Database
from app.main import create_app
from tests.house.test_audit import LOG_IN, NEW_KEY, TRIED, set_up
from tests.house.test_openapi import DOCUMENT, OPERATIONS
from tests.house.test_routes import ENDLESS, GUARDED, LOG_OUT, address
from tests.support.http import running

TOLD = [(method, path) for method, path, _ in GUARDED if f"{method} {path}" in OPERATIONS]
OF_HTTP = {
    *("content-type", "content-length", "cache-control", "vary", "set-cookie", "accept-encoding"),
    *("content-security-policy", "x-content-type-options", "referrer-policy", "x-frame-options"),
}
"""What libraries and browsers read, whoever sends it."""

PATTERNS = {
    name: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(name.split()[1]))) for name in sorted(OPERATIONS, key=len)
}


@pytest.fixture
async def app(settings: Settings, clock: FrozenClock, database: Database) -> AsyncIterator[FastAPI]:
    """With limits, but one request after the other for a while."""
    limited = settings.model_copy(update={"limits": LimitsSettings(default="900/minute")})
    async with running(create_app(limited, clock=clock, database=database)) as started:
        yield started


def operation_of(answer: httpx.Response) -> str:
    method, path = answer.request.method, answer.request.url.path
    return next(name for name, form in PATTERNS.items() if name.startswith(method) and form.fullmatch(path))


def told(answer: httpx.Response) -> set[str]:
    """The headers that the document has for it, in small letters."""
    return {name.lower() for name in OPERATIONS[operation_of(answer)]["responses"][str(answer.status_code)]["headers"]}


def untold(answers: list[httpx.Response]) -> set[tuple[str, int, str]]:
    return {
        (operation_of(answer), answer.status_code, name)
        for answer in answers
        for name in set(answer.headers) - OF_HTTP - told(answer)
    }


class TestTheDocument:
    def test_tells_each_header_once(self) -> None:
        assert DOCUMENT["components"]["headers"].keys() == HEADERS.keys()
        answers = [answer for operation in OPERATIONS.values() for answer in operation["responses"].values()]
        assert {name for answer in answers for name in answer["headers"]} == HEADERS.keys()

    def test_tells_retry_after_of_each_problem_that_speaks_of_it(self) -> None:
        speaking = {kind for kind in Problem.kinds.values() if "Retry-After" in kind.explanation}
        assert speaking <= {kind for kind in Problem.kinds.values() if kind.carries == RETRY_AFTER}
        assert len(speaking) >= 5

    def test_lets_a_client_ask_whether_an_answer_still_holds(self) -> None:
        conditional = {name for name, operation in OPERATIONS.items() if "304" in operation["responses"]}
        assert conditional == {
            name
            for name, operation in OPERATIONS.items()
            if "If-None-Match" in {parameter["name"] for parameter in operation.get("parameters", ())}
        }
        assert len(conditional) == 3


class TestEveryAnswer:
    @pytest.fixture
    def answers(self, client: httpx.AsyncClient, admin: httpx.AsyncClient) -> list[httpx.Response]:
        """All that the two clients get from now on."""
        seen: list[httpx.Response] = []

        async def note(answer: httpx.Response) -> None:
            seen.append(answer)

        for each in (client, admin):
            each.event_hooks = {"response": [note]}
        return seen

    async def test_to_a_stranger(self, client: httpx.AsyncClient, answers: list[httpx.Response]) -> None:
        for method, path in TOLD:
            await client.request(method, address(path))
        await client.post("/auth/refresh", json={"refresh_token": "none"})
        for _ in range(6):
            await client.post("/auth/token", data={**LOG_IN, "password": "wrong"})
        assert {answer.status_code for answer in answers} == {401, 429}
        assert untold(answers) == set()

    async def test_to_a_change(self, admin: httpx.AsyncClient, answers: list[httpx.Response]) -> None:
        for _, prepare, act in TRIED.values():
            await act(admin, await prepare(admin))
        assert untold(answers) == set()
        assert {operation_of(answer) for answer in answers if answer.is_success} >= {
            name.replace(" ", " /api/v1") for name in TRIED
        }
        unsent = [(operation_of(answer), told(answer) - set(answer.headers)) for answer in answers if answer.is_success]
        assert [found for found in unsent if found[1] - {"idempotency-replayed"}] == []

    async def test_to_a_question(self, admin: httpx.AsyncClient, answers: list[httpx.Response]) -> None:
        await admin.post("/models/m1/tracking/setup", json=set_up("m1"))
        for method, path in TOLD:
            if method == "GET" and not path.endswith(ENDLESS):
                for known in ({}, {"If-None-Match": "*"}):
                    await admin.get(address(path, "m1"), headers=known)
                await admin.get(address(path, "m1") + "?limit=-1")
        assert untold(answers) == set()
        assert {answer.status_code for answer in answers} >= {200, 304, 404, 422}
        unsent = [(operation_of(answer), told(answer) - set(answer.headers)) for answer in answers if answer.is_success]
        assert [found for found in unsent if found[1] - {"idempotency-replayed"}] == []

    async def test_to_a_repetition_and_to_a_refusal(
        self, admin: httpx.AsyncClient, answers: list[httpx.Response]
    ) -> None:
        for _ in range(2):
            await admin.post("/api-keys", json=NEW_KEY, headers={"Idempotency-Key": "k"})
        for method, path in TOLD:
            if method != "GET" and path != LOG_OUT:
                for body in (b"{", b"{}"):
                    await admin.request(
                        method, address(path), content=body, headers={"Content-Type": "application/json"}
                    )
                await admin.request(method, address(path), content=b"{}", headers={"Content-Type": "text/plain"})
        assert "idempotency-replayed" in answers[1].headers
        assert untold(answers) == set()
