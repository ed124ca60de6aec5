"""A direct operation answers what FastAPI's own way answers."""

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.routing import APIRoute

from app.core.direct import DirectRoute
from app.core.routing import ShapedRouter, flat

REQUESTS = [
    ("GET", "/things/a", "as it is"),
    ("GET", "/things/a?often=3", "with a query"),
    ("GET", "/things/a?often=x", "with a query that is wrong"),
    ("GET", "/things/A", "with a path that is wrong"),
    ("POST", "/things/a", "another method"),
    ("GET", "/other/a", "another address"),
]


async def _caller(request: Request) -> str:
    return request.headers.get("x-caller", "nobody")


def _client(kind: type[APIRoute]) -> httpx.AsyncClient:
    things = APIRouter(route_class=kind)

    @things.get("/things/{name}")
    async def thing(
        request: Request,
        name: Annotated[str, Path(pattern="^[a-z]$")],
        caller: Annotated[str, Depends(_caller)],
        often: Annotated[int, Query()] = 1,
    ) -> Response:
        return Response(f"{request.method} {name} {caller} {often}")

    app = FastAPI(openapi_url=None)
    app.router = router = ShapedRouter(redirect_slashes=False)
    router.adopt(flat(things))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://test", headers={"x-caller": "somebody"}
    )


class TestDirectRoute:
    @pytest.mark.parametrize(("method", "path"), [case[:2] for case in REQUESTS], ids=[case[2] for case in REQUESTS])
    async def test_answers_as_fastapi_does(self, method: str, path: str) -> None:
        direct, plain = await _client(DirectRoute).request(method, path), await _client(APIRoute).request(method, path)
        assert (direct.status_code, direct.text) == (plain.status_code, plain.text)

    def test_refuses_a_dependency_that_it_could_not_call(self) -> None:
        async def needy(caller: Annotated[str, Depends(_caller)]) -> str:
            return caller

        async def endpoint(needed: Annotated[str, Depends(needy)]) -> Response:
            return Response(needed)

        with pytest.raises(TypeError, match="needed needs more than the request"):
            DirectRoute("/", endpoint)
