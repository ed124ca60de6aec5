"""Every operation is limited, but those that the specification leaves out; each was seen to answer 429."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.auth.scopes import BATCH_SCOPES, KEY_SCOPES
from app.core.clock import FrozenClock
from app.core.settings import LimitsSettings, Settings
from app.db.engine import Database
from app.main import create_app
from tests.house.test_error_shape import is_problem
from tests.house.test_routes import GUARDED, OPERATIONS, PUBLIC, address
from tests.support.http import Identities, bearer, running
from tests.support.models import make_model

BY_ADDRESS = {"POST /api/v1/auth/token", "POST /api/v1/auth/refresh"}
UNLIMITED = PUBLIC - BY_ADDRESS
"""Health, documents, public keys and metrics: cheap, and asked by machines all the time."""


@pytest.fixture
async def app(settings: Settings, clock: FrozenClock, database: Database) -> AsyncIterator[FastAPI]:
    limits = LimitsSettings(default="3/hour", key_requests="3/hour", ingest_rows="3/hour", login_per_address="3/hour")
    limited = settings.model_copy(update={"limits": limits})
    async with running(create_app(limited, clock=clock, database=database)) as started:
        yield started


def is_refusal(answer: httpx.Response) -> bool:
    return (
        answer.status_code == 429
        and is_problem(answer)
        and int(answer.headers["retry-after"]) >= 1
        and 'hour";q=3;w=3600' in answer.headers["ratelimit-policy"]
        and answer.headers["x-ratelimit-limit"] == "3"
    )


class TestEveryOperation:
    async def test_of_a_user_is_refused_when_the_limit_is_used_up(
        self, client: httpx.AsyncClient, identities: Identities
    ) -> None:
        token = bearer(await identities.user("admin"))
        assert [(await client.get("/auth/me", headers=token)).status_code for _ in range(3)] == [200] * 3
        answers = {
            f"{method} {path}": await client.request(method, address(path), headers=token)
            for method, path, _ in GUARDED
        }
        assert [name for name, answer in answers.items() if not is_refusal(answer)] == []
        assert len(answers) >= 30

    async def test_of_a_key_is_too_but_where_it_sends_rows(
        self, client: httpx.AsyncClient, identities: Identities
    ) -> None:
        key = bearer(await identities.key(*KEY_SCOPES))
        assert [(await client.get("/auth/me", headers=key)).status_code for _ in range(3)] == [200] * 3
        answers = {
            f"{method} {path}": await client.request(method, address(path), headers=key)
            for method, path, guard in GUARDED
            if guard.scope not in BATCH_SCOPES
        }
        assert [name for name, answer in answers.items() if not is_refusal(answer)] == []
        assert len(answers) == len(GUARDED) - 2

    async def test_of_nobody_in_particular_is_limited_by_address(self, client: httpx.AsyncClient) -> None:
        form = {"username": "x@example.com", "password": "wrong"}
        for name, body in {"POST /api/v1/auth/token": form, "POST /api/v1/auth/refresh": None}.items():
            answers = [await client.post(f"http://test{name.split()[1]}", data=body) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [401, 401, 401, 429], name
            assert is_refusal(answers[-1])

    async def test_of_ingest_is_limited_by_rows_for_a_key(
        self, client: httpx.AsyncClient, identities: Identities, database: Database
    ) -> None:
        await make_model(database, "m")
        key = bearer(await identities.key("predictions:write", "labels:write"))
        rows = {
            "predictions": [{"prediction_id": f"p{n}", "score": 0.5} for n in range(3)],
            "labels": [{"prediction_id": f"p{n}", "actual": "1"} for n in range(3)],
        }
        body = {"predictions": rows["predictions"]}
        assert (await client.post("/models/m/predictions", json=body, headers=key)).status_code == 201
        for kind, more in rows.items():
            assert is_refusal(await client.post(f"/models/m/{kind}", json={kind: more}, headers=key))

    async def test_is_one_of_those_or_left_out_on_purpose(self, client: httpx.AsyncClient) -> None:
        public = {f"{method} {path}" for method, path, guard in OPERATIONS if guard.public}
        assert public & (BY_ADDRESS | UNLIMITED) == BY_ADDRESS | UNLIMITED
        for name in UNLIMITED:
            answers = [await client.get(f"http://test{name.split()[1]}") for _ in range(5)]
            assert 429 not in {answer.status_code for answer in answers}, name
