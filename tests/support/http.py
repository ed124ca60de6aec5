"""The application over HTTP in one process: no socket, but the whole way from the edge to the database."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx
from fastapi import FastAPI
from starlette.types import Message

from app.auth.keys import ApiKeys
from app.auth.principal import Principal
from app.auth.scopes import SCOPES_OF, Role
from app.auth.service import LogIns
from app.auth.users import Users

PASSWORD = "a-long-password-of-the-tests"
_numbers = itertools.count()


@contextlib.asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application between its start and its end."""
    async with app.router.lifespan_context(app):
        yield app


def client_of(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    """A client of the API; paths are relative to /api/v1, or absolute URLs."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True, client=("203.0.113.7", 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers)


def client_from(app: FastAPI, address: str) -> httpx.AsyncClient:
    """As `client_of`, of somebody at another address."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, client=(address, 4711)), base_url="http://test/api/v1"
    )


async def half_sent(app: FastAPI, path: str, headers: Mapping[str, str]) -> None:
    """Sends a part of a JSON body, and leaves."""
    messages: list[Message] = [{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}]
    sent = {"host": "test", "content-type": "application/json", "transfer-encoding": "chunked", **headers}

    async def receive() -> Message:
        return messages.pop(0)

    async def lost(_message: Message) -> None:
        """Nobody is there."""

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("203.0.113.7", 4711),
        "server": ("test", 80),
    }
    await app(scope, receive, lost)


def bearer(token: str) -> dict[str, str]:
    """The header for a token or an API key."""
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True, slots=True)
class Identities:
    """Makes callers of every kind, without going through the limited log-in."""

    app: FastAPI

    async def user(self, role: Role | str) -> str:
        """An access token of a new user."""
        users: Users = self.app.state.services[Users]
        made = await users.create(f"{role}-{next(_numbers)}@example.com", PASSWORD, Role(role))
        return await self.token_of(made.email)

    async def token_of(self, email: str) -> str:
        log_ins: LogIns = self.app.state.services[LogIns]
        return (await log_ins.log_in(email, PASSWORD)).access_token

    async def key(self, *scopes: str, models: list[str] | None = None) -> str:
        """The text of a new API key."""
        users: Users = self.app.state.services[Users]
        keys: ApiKeys = self.app.state.services[ApiKeys]
        admin = await users.create(f"keeper-{next(_numbers)}@example.com", PASSWORD, Role.ADMIN)
        creator = Principal(f"user:{admin.id}", "user", SCOPES_OF[Role.ADMIN], user_id=admin.id)
        return (await keys.create(creator, name="test", scopes=scopes, models=models)).text
