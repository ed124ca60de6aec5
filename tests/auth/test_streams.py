"""Streams end with the right of who asked for them."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from app.analytics import feed as feeds
from app.core.clock import SECOND, FrozenClock, rfc3339
from app.db.engine import Database
from app.jobs.feed import JobFeed
from tests.support.http import bearer
from tests.support.jobs import enqueue

KEY = {"name": "follower", "scopes": ["analytics:read"]}
STREAM = "/analytics/stream"
HEARTBEAT_S = 0.05


@pytest.fixture(autouse=True)
def quick(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "HEARTBEAT_S", HEARTBEAT_S)
    monkeypatch.setattr(app.state.services[JobFeed], "_heartbeat_s", HEARTBEAT_S)


async def following(client: httpx.AsyncClient, path: str, credential: str) -> "asyncio.Task[httpx.Response]":
    """The answer, which comes when the stream has ended."""
    answer = asyncio.create_task(client.get(path, headers=bearer(credential)))
    await asyncio.sleep(4 * HEARTBEAT_S)
    assert not answer.done()
    return answer


async def has_ended(answer: "asyncio.Task[httpx.Response]") -> bool:
    found = await asyncio.wait_for(answer, 5)
    return found.status_code == 200 and b": heartbeat" in found.content


async def test_with_a_key_that_is_revoked(admin: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    made = (await admin.post("/api-keys", json=KEY)).json()
    answer = await following(client, STREAM, made["key"])
    await admin.delete(f"/api-keys/{made['id']}")
    assert await has_ended(answer)


async def test_with_a_key_whose_time_is_over(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    end = rfc3339(clock.now_us() + 60 * SECOND)
    made = (await admin.post("/api-keys", json={**KEY, "expires_at": end})).json()
    answer = await following(client, STREAM, made["key"])
    clock.advance(seconds=61)
    assert await has_ended(answer)


@pytest.mark.parametrize("of_a_job", [False, True])
async def test_with_a_log_out(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, database: Database, of_a_job: bool
) -> None:
    path = f"/jobs/{await enqueue(database, 'upkeep')}/events" if of_a_job else STREAM
    answer = await following(client, path, admin.headers["Authorization"].removeprefix("Bearer "))
    assert (await admin.post("/auth/logout")).status_code == 204
    assert await has_ended(answer)
