"""A direct operation answers what FastAPI's own way answers."""

from datetime import datetime
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from app.core.direct import DirectRoute
from app.core.routing import ShapedRouter, flat

REQUESTS = [
    ("GET", "/things/a", "as it is"),
    ("GET", "/things/a?often=3", "with a query"),
    ("GET", "/things/a?often=x", "with a query that is wrong"),
    ("GET", "/things/A", "with a path that is wrong"),
    ("POST", "/things/a", "another method"),
    ("GET", "/other/a", "another address"),
    ("GET", "/things/a?other=3", "with a query that nobody asks for"),
    ("GET", "/things/a?often=3&often=4", "with a query twice"),
    ("GET", "/asked?much=2", "with a query that must be there"),
    ("GET", "/asked", "without it"),
    ("GET", "/filtered", "a query's model by default"),
    ("GET", "/filtered?from=2026-01-01T00:00:00%2B02:00&few=true", "a query's model"),
    ("GET", "/filtered?few=maybe", "a query's model that is wrong"),
    ("GET", "/filtered?other=1", "a query's model that forbids others"),
    ("GET", "/answers/ä", "a model"),
    ("GET", "/answers/a?more=1", "a model with a query"),
]


class Answer(BaseModel):
    model_config = ConfigDict(validate_by_name=True)

    name: str
    caller: str = Field(alias="asked by")
    more: dict[str, float] = {"a": 0.5}


class Filter(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime | None = Field(default=None, alias="from")
    few: bool = False


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

    @things.get("/asked")
    async def asked(much: Annotated[float, Query(gt=1)]) -> Answer:
        return Answer(name=str(much), caller="")

    @things.get("/filtered")
    async def filtered(found: Annotated[Filter, Query()]) -> Answer:
        return Answer(name=repr(found), caller="")

    @things.get("/answers/{name}", status_code=202)
    async def answer(name: str, caller: Annotated[str, Depends(_caller)]) -> Answer:
        return Answer(name=name, caller=caller)

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
        assert direct.headers == plain.headers

    async def test_answers_an_address_again_as_it_did_before(self) -> None:
        async with _client(DirectRoute) as client:
            for _ in range(2):
                found = [(await client.request(method, path)).text for method, path, _ in REQUESTS]
                assert (await client.get("/things/b")).text == "GET b somebody 1"
                assert (await client.get("/things/b", headers={"x-caller": "another"})).text == "GET b another 1"
                assert found == [(await client.request(method, path)).text for method, path, _ in REQUESTS]

    def test_refuses_a_dependency_that_it_could_not_call(self) -> None:
        async def needy(caller: Annotated[str, Depends(_caller)]) -> str:
            return caller

        async def endpoint(needed: Annotated[str, Depends(needy)]) -> Response:
            return Response(needed)

        with pytest.raises(TypeError, match="needed needs more than the request"):
            DirectRoute("/", endpoint)


class TestWhoIsDirect:
    def test_what_can_be_is_and_the_rest_is_not(self) -> None:
        things = APIRouter()

        @things.get("/plain")
        async def plain(caller: Annotated[str, Depends(_caller)], often: int = 1) -> Answer:
            return Answer(name=str(often), caller=caller)

        @things.get("/asked")
        async def asked(caller: Annotated[str, Depends(_caller)], often: int) -> Answer:
            return Answer(name=str(often), caller=caller)

        @things.get("/tagged")
        async def tagged(response: Response) -> Answer:
            response.headers["etag"] = "1"
            return Answer(name="", caller="")

        @things.get("/threaded")
        def threaded() -> Answer:
            return Answer(name="", caller="")

        @things.delete("/gone", status_code=204)
        async def gone() -> None:
            return None

        direct = {route.path: isinstance(route, DirectRoute) for route in flat(things)}
        assert direct == {"/plain": True, "/asked": True, "/tagged": False, "/threaded": False, "/gone": False}
