"""The shaped router finds what FastAPI's own finds."""

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from app.core.routing import ShapedRouter, flat

ADDRESSES = [
    ("GET", "/api/v1/models", "list"),
    ("POST", "/api/v1/models", "make"),
    ("GET", "/api/v1/models/m1", "one m1"),
    ("GET", "/api/v1/models/m1/versions", "versions m1"),
    ("GET", "/api/v1/models/m1/versions/2", "version m1 2"),
    ("GET", "/api/v1/models/versions/versions", "versions versions"),
    ("GET", "/api/v1/models/search", "search"),
    ("GET", "/metrics", "metrics"),
]


def _slices() -> APIRouter:
    models = APIRouter(prefix="/models")
    outer = APIRouter(prefix="/api/v1")

    @models.get("")
    async def every() -> str:
        return "list"

    @models.post("")
    async def make() -> str:
        return "make"

    @models.get("/search")
    async def search() -> str:
        return "search"

    @models.get("/{model_id}")
    async def one(model_id: str) -> str:
        return f"one {model_id}"

    @models.get("/{model_id}/versions")
    async def versions(model_id: str) -> str:
        return f"versions {model_id}"

    @models.get("/{model_id}/versions/{version}")
    async def version(model_id: str, version: int) -> str:
        return f"version {model_id} {version}"

    outer.include_router(models)
    top = APIRouter()
    top.include_router(outer)

    @top.get("/metrics")
    async def metrics() -> str:
        return "metrics"

    return top


@pytest.fixture
async def client() -> httpx.AsyncClient:
    app = FastAPI(openapi_url=None)
    app.router = router = ShapedRouter(redirect_slashes=False)
    router.adopt(flat(_slices()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


class TestShapedRouter:
    @pytest.mark.parametrize(("method", "path", "answer"), ADDRESSES)
    async def test_finds_each_operation(self, client: httpx.AsyncClient, method: str, path: str, answer: str) -> None:
        assert (await client.request(method, path)).json() == answer

    @pytest.mark.parametrize(
        "path", ["/api/v1/model", "/api/v1/models/", "/api/v1/models/a/b", "/", "//", "/metrics/x"]
    )
    async def test_knows_what_is_not_there(self, client: httpx.AsyncClient, path: str) -> None:
        assert (await client.get(path)).status_code == 404

    async def test_tells_the_methods_there_are(self, client: httpx.AsyncClient) -> None:
        answer = await client.delete("/api/v1/models")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST"
