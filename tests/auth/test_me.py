"""Who am I."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from app.auth.authenticate import Authenticator
from app.auth.errors import Unauthenticated
from app.core.clock import FrozenClock
from app.core.settings import Settings
from app.db.engine import Database, ReadSession
from tests.support.http import Identities


class TestMe:
    async def test_tells_the_caller_what_it_may_do(self, admin: httpx.AsyncClient) -> None:
        answer = await admin.get("/auth/me")
        assert answer.status_code == 200
        assert answer.json()["role"] == "admin"
        assert "users:manage" in answer.json()["scopes"]

    async def test_refuses_who_has_no_token(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/auth/me")
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/unauthenticated"


class CountedDatabase(Database):
    """Counts the snapshots that are read."""

    reads = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        self.reads += 1
        async with super().read() as session:
            yield session


class TestManyAtOnce:
    async def test_with_one_credential_ask_the_database_once(
        self, app: FastAPI, identities: Identities, settings: Settings, clock: FrozenClock
    ) -> None:
        standing = app.state.services[Authenticator]
        database = CountedDatabase(str(settings.database.url.get_secret_value()), settings.database)  # type: ignore[union-attr]
        asked = Authenticator(database, standing._tokens, standing._usage, clock)
        token = await identities.user("viewer")
        found = await asyncio.gather(*(asked.principal(token) for _ in range(50)))
        assert database.reads == 1
        assert {principal.role for principal in found} == {"viewer"}
        clock.advance(seconds=6)
        await asyncio.gather(*(asked.principal(token) for _ in range(50)))
        assert database.reads == 2
        with pytest.raises(Unauthenticated):
            await asyncio.gather(*(asked.principal("aqt_abcdefghijkl_" + "x" * 43) for _ in range(50)))
        assert database.reads == 3
        await database.close()
