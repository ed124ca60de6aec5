"""The outermost layer, around an application that misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from app.core import telemetry
from app.core.edge import Gate, Phase
from app.core.errors import Problem
from tests.support.edges import application, client_of


@pytest.fixture
async def client(gate: Gate) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(gate)) as made:
        yield made


class TestHead:
    @pytest.mark.parametrize("path", ["/fine", "/health", "/nowhere", "/echo/1", "/broken"])
    async def test_is_answered_as_get_without_the_body(self, client: httpx.AsyncClient, path: str) -> None:
        head, got = await client.head(path), await client.get(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers.keys() == got.headers.keys()
        assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))


class TestRequestId:
    async def test_every_answer_carries_one(self, client: httpx.AsyncClient) -> None:
        seen = {
            (await client.get(path)).headers["x-request-id"] for path in ("/fine", "/nowhere", "/broken", "/health")
        }
        assert len(seen) == 4

    async def test_a_problem_names_the_same(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/nowhere")
        assert answer.json()["request_id"] == answer.headers["x-request-id"]

    @pytest.mark.parametrize("given", ["abc-DEF_123", "x" * 64])
    async def test_takes_the_callers(self, client: httpx.AsyncClient, given: str) -> None:
        assert (await client.get("/fine", headers={"X-Request-ID": given})).headers["x-request-id"] == given

    @pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "a\x1b[31m", "é", "a;b", "../a"])
    async def test_but_not_anything(self, client: httpx.AsyncClient, given: str) -> None:
        answer = await client.get("/fine", headers={"X-Request-ID": given.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.headers["x-request-id"] != given


class TestErrors:
    @pytest.mark.parametrize("path", ["/broken", "/surrogate"])
    async def test_an_unknown_error_is_answered_and_tells_nothing(self, client: httpx.AsyncClient, path: str) -> None:
        answer = await client.get(path)
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == {"type", "title", "status", "detail", "instance", "request_id"}
        assert not any(word in answer.text for word in ("select", "passwd", "RuntimeError", "surrogate'"))

    async def test_the_log_has_its_cause(self, client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]) -> None:
        answer = await client.get("/broken")
        lines = capfd.readouterr().err
        assert "RuntimeError" in lines
        assert answer.json()["request_id"] in lines

    async def test_half_an_answer_is_cut(self, client: httpx.AsyncClient) -> None:
        with pytest.raises(RuntimeError, match="in the middle"):
            await client.get("/half")

    async def test_an_address_that_is_not_there(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/nowhere")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")

    async def test_a_method_that_is_not_there(self, client: httpx.AsyncClient) -> None:
        answer = await client.delete("/fine")
        assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method-not-allowed")
        assert answer.headers["allow"] == "GET"

    async def test_texts_that_utf8_cannot_hold_are_escaped(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/echo/x")
        assert json.loads(answer.content)["known"] == ["\udfff"]

    def test_a_problem_without_status_is_no_problem(self) -> None:
        with pytest.raises(TypeError):
            type("Careless", (Problem,), {"__doc__": "No status."})


class TestHosts:
    @pytest.mark.parametrize("host", ["test", "TEST", "test:8080", "[::1]", "[::1]:80"])
    async def test_answers_to_its_names(self, client: httpx.AsyncClient, host: str) -> None:
        assert (await client.get("/fine", headers={"Host": host})).status_code == 200

    @pytest.mark.parametrize("host", ["evil.example", "", "test.evil.example", "[::2]", "test@evil", "127.0.0.1"])
    async def test_and_to_no_others(self, client: httpx.AsyncClient, host: str) -> None:
        answer = await client.get("/fine", headers={"Host": host})
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/untrusted-host")

    async def test_health_needs_no_name(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/health", headers={"Host": "10.0.0.7"})).status_code == 200

    async def test_nor_does_what_is_called_by_any(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/raw", headers={"Host": "10.0.0.7"})).status_code == 200
        twice = [("Host", "10.0.0.7"), ("Host", "test")]
        assert (await client.post("/raw", headers=twice)).status_code == 400

    async def test_u0000_is_refused_in_an_address(self, client: httpx.AsyncClient) -> None:
        for address, pointer in {
            "/echo/a%00b": "/path",
            "/fine?y=1&x=%00": "/query/x",
            "/echo/%00?x=1": "/path",
        }.items():
            answer = await client.get(address)
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


class TestHeaders:
    @pytest.mark.parametrize("path", ["/fine", "/nowhere", "/broken", "/health"])
    async def test_stand_on_every_answer(self, client: httpx.AsyncClient, path: str) -> None:
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in headers
        assert "server" not in headers

    async def test_https_is_kept(self, client: httpx.AsyncClient) -> None:
        assert "strict-transport-security" in (await client.get("https://test/fine")).headers


class TestGate:
    async def test_until_it_opens_only_health_is_answered(self) -> None:
        async with client_of(application(Gate())) as client:
            answer = await client.get("/fine")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert (await client.get("/health")).status_code == 200

    async def test_draining_waits_for_requests_under_way(self, gate: Gate) -> None:
        gate.enter()
        gate.drain()
        assert gate.phase is Phase.DRAINING
        assert not await gate.emptied(0.01)
        waiting = asyncio.create_task(gate.emptied(5))
        await asyncio.sleep(0)
        gate.leave()
        assert await waiting


class TestMetrics:
    @pytest.fixture(autouse=True)
    def counted(self) -> Iterator[None]:
        telemetry.REQUESTS.clear()
        telemetry._answered.cache_clear()
        yield
        telemetry._answered.cache_clear()

    async def test_labels_are_templates_not_paths(self, client: httpx.AsyncClient) -> None:
        for path in ("/echo/1", "/echo/2", "/nowhere/3", "/health", "/static/x.js"):
            await client.get(path)
        await client.request("BREW", "/fine")
        await client.head("/fine")
        counted = {
            (s.labels["method"], s.labels["route"], s.labels["status"]): s.value
            for metric in telemetry.REQUESTS.collect()
            for s in metric.samples
            if s.name.endswith("_total")
        }
        assert counted == {
            ("GET", "/echo/{text}", "404"): 2,
            ("GET", "unmatched", "404"): 1,
            ("GET", "/health", "200"): 1,
            ("GET", "/static", "404"): 1,
            ("OTHER", "/fine", "405"): 1,
            ("HEAD", "/fine", "200"): 1,
        }

    def test_models_beyond_the_first_five_hundred_share_a_label(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(telemetry, "_models", set())  # other tests of this process have used names up
        labels = {telemetry.model_label(f"model-{n}") for n in range(2 * telemetry.MAX_MODELS)}
        assert len(labels) == telemetry.MAX_MODELS + 1
        assert telemetry.OTHER in labels
