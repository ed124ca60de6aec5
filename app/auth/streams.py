"""Answers that go on: they end with the right of the caller who asked for them."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from fastapi import Request
from fastapi.responses import StreamingResponse

from app.auth.authenticate import Authenticator
from app.auth.errors import Unauthenticated
from app.auth.guards import credential_of
from app.core.errors import Unavailable


def streamed(request: Request, events: AsyncGenerator[bytes]) -> StreamingResponse:
    """Server-sent events. Nothing is sent any more once a log-out, an expiry or a withdrawn key is known here, which is
    asked before each event: heartbeats come every few seconds."""
    return StreamingResponse(
        _while_let_in(request, events), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _while_let_in(request: Request, events: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    authenticator: Authenticator = request.app.state.services[Authenticator]
    credential = credential_of(request)
    async with aclosing(events):
        async for event in events:
            try:
                with suppress(Unavailable):  # while the database is away nothing is known to have changed
                    await authenticator.principal(credential or "")
            except Unauthenticated:
                return
            yield event
