"""How an endpoint gets its service: `Annotated[TrackingService, Depends(provided(TrackingService))]`.

`main.create_app` builds every service once and files it under its type in `app.state.services`. A service opens its own
transaction, so that it is durable before the endpoint returns (FastAPI's `yield` dependencies would commit after the
answer has left).
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request

Service = TypeVar("Service")


def provided(kind: type[Service]) -> Callable[[Request], Awaitable[Service]]:
    """A dependency that hands out the process's one `kind`."""

    async def get(request: Request) -> Service:  # async: FastAPI would run a plain function in a thread
        service: Service = request.app.state.services[kind]
        return service

    return get
