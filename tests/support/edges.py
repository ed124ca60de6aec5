"""An application that misbehaves in every way that the outermost layer answers for."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
from fastapi import Body, FastAPI, Form, Request
from fastapi.responses import StreamingResponse

from app.core.edge import Edge, Gate, Prepared
from app.core.errors import NotFound
from app.core.exchange import exchange_of
from app.core.http import render_problems
from app.core.settings import HttpSettings

KIB = 1024


def application(gate: Gate, **settings: Any) -> FastAPI:
    app = FastAPI(openapi_url=None)
    render_problems(app)

    @app.get("/fine")
    async def fine() -> dict[str, str]:
        return {"fine": "yes"}

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("select password from users; /etc/passwd")

    @app.get("/surrogate")
    async def surrogate() -> dict[str, str]:
        return {"a": "\ud800"}

    @app.get("/echo/{text}")
    async def echo(text: str) -> None:
        raise NotFound(f"there is no {text}", known=["\udfff"])

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            raise RuntimeError("in the middle")

        return StreamingResponse(pieces())

    take_bodies(app)
    limits = {"max_body_bytes": KIB, "max_batch_bytes": 8 * KIB, "trusted_hosts": ("test", "[::1]"), **settings}
    app.add_middleware(
        Edge,
        settings=HttpSettings(**limits),
        gate=gate,
        templates={id(route): route.path for route in app.routes},  # type: ignore[attr-defined]
        prepared={"/health": lambda: Prepared(200, b"{}")},
        nameless={"/raw"},
        direct=lambda _: None,
        cookies={},
    )
    return app


def take_bodies(app: FastAPI) -> None:
    @app.post("/body")
    async def body(value: Annotated[dict[str, float], Body()]) -> int:
        return len(value)

    @app.post("/form")
    async def form(value: Annotated[float, Form()]) -> float:
        return value

    @app.post("/batch")
    async def batch(request: Request) -> int:
        exchange_of(request.scope).allow_batch()
        return len(await request.body())

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")
