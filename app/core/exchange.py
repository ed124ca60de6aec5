"""One request and its answer, as the edge, the guards and the log see it; travels in the ASGI scope.

The audit, which is written deep inside a use case, finds the request that it is done for as `current()`.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.types import Scope

KEY = "assay"


@dataclass(slots=True)
class Exchange:
    """What is known of a request so far; guards fill it in as they learn more."""

    request_id: str
    client: str  # the socket's peer, or whom a trusted proxy saw
    body_limit: int  # bytes; a guard raises it for batches
    batch_limit: int
    batch: bool = False  # its decoder reads the body strictly itself
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)  # sent with the answer, whatever it is
    principal: str | None = None
    route: str | None = None  # template, where the router is not asked
    owed: "Callable[[Exchange], Awaitable[None]] | None" = None  # counts it, should it be refused with nothing counted

    async def settle(self, status: int) -> None:
        """Pays what is owed when the answer is of 4xx, or its client has left."""
        if self.owed is not None and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            owed, self.owed = self.owed, None
            await owed(self)

    def allow_batch(self) -> None:
        """Called by the guard of an operation whose body is a batch, before the body is read."""
        self.batch = True
        self.body_limit = self.batch_limit

    def limit_body(self, limit: int) -> None:
        """Called before the body of an operation is read that takes less than others."""
        self.body_limit = min(self.body_limit, limit)


def exchange_of(scope: Scope) -> Exchange:
    exchange: Exchange = scope[KEY]
    return exchange


_CURRENT: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def enter(exchange: Exchange) -> None:
    """From here on this task works for `exchange`; the server gives every request a task of its own."""
    _CURRENT.set(exchange)


def current() -> Exchange | None:
    """The request under way; None where the process acts by itself."""
    return _CURRENT.get()


@contextmanager
def acting(actor: str) -> Iterator[None]:
    """Inside, what is done is done by `actor`, without a request: a command, a job."""
    token = _CURRENT.set(Exchange(secrets.token_hex(12), client="", body_limit=0, batch_limit=0, principal=actor))
    try:
        yield
    finally:
        _CURRENT.reset(token)
