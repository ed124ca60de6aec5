"""The outermost layer, around an application that misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, FastAPI, Form, Request
from fastapi.responses import StreamingResponse

from app.core import logs, telemetry
from app.core.edge import Edge, Gate, Phase, Prepared
from app.core.errors import NotFound, Problem
from app.core.exchange import exchange_of
from app.core.http import render_problems
from app.core.settings import HttpSettings, LogSettings

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


@pytest.fixture
def gate() -> Gate:
    logs.configure(LogSettings())
    opened = Gate()
    opened.open()
    return opened


@pytest.fixture
async def client(gate: Gate) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(gate)) as made:
        yield made


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


def pieces(size: int, piece: int = 100) -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size // piece):
            yield b" " * piece

    return chunks()


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


class TestBodies:
    async def test_a_body_up_to_the_limit_passes(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/raw", content=b" " * KIB)).json() == KIB

    @pytest.mark.parametrize("path", ["/raw", "/body"])
    async def test_a_larger_one_is_413_though_its_length_is_not_told(
        self, client: httpx.AsyncClient, path: str
    ) -> None:
        headers = {"Content-Type": "application/json"}
        declared = await client.post(path, content=b" " * (KIB + 1), headers=headers)
        chunked = await client.post(path, content=pieces(2 * KIB), headers=headers)
        assert [(a.status_code, a.json()["type"]) for a in (declared, chunked)] == [
            (413, "/problems/body-too-large")
        ] * 2

    async def test_no_more_of_it_is_read_than_the_limit(self, client: httpx.AsyncClient) -> None:
        read = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal read
            while read < 100 * KIB:
                read += 100
                yield b" " * 100

        answer = await client.post("/raw", content=endless())
        assert answer.status_code == 413
        assert read <= KIB + 200

    async def test_a_guard_can_allow_a_batch(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/batch", content=b" " * 8 * KIB)).json() == 8 * KIB
        assert (await client.post("/batch", content=b" " * (8 * KIB + 1))).status_code == 413

    async def test_a_slow_one_is_408_and_the_connection_ends(self, gate: Gate) -> None:
        async def slow() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(0.5)
            yield b"b"

        async with client_of(application(gate, body_timeout_s=0.1)) as client:
            answer = await client.post("/raw", content=slow())
        assert (answer.status_code, answer.json()["type"]) == (408, "/problems/body-too-slow")
        assert answer.headers["connection"] == "close"

    @pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/ld+json"])
    async def test_json_is_read_strictly(self, client: httpx.AsyncClient, kind: str) -> None:
        answer = await client.post("/body", content=b'{"a": NaN}', headers={"Content-Type": kind})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == "not_finite"

    @pytest.mark.parametrize("kind", [b"application/json\xa0", b"application/json\x85", b"\xa0application/json"])
    @pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', '{"a": 1}'.encode("utf-16"), b"[" * 900, b'{"a": NaN}'])
    async def test_also_where_one_reader_of_headers_calls_it_json_and_another_does_not(
        self, client: httpx.AsyncClient, kind: bytes, body: bytes
    ) -> None:
        answer = await client.post("/body", content=body, headers=[(b"Content-Type", kind)])
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] in {"repeated_key", "not_utf8", "too_deep", "not_finite"}

    async def test_also_where_batches_may_be_no_larger_than_other_bodies(self, gate: Gate) -> None:
        async with client_of(application(gate, max_batch_bytes=KIB)) as client:
            answer = await client.post("/body", content=b'{"a": NaN}', headers={"Content-Type": "application/json"})
        assert answer.json()["errors"][0]["code"] == "not_finite"

    @pytest.mark.parametrize("name", ["Content-Type", "Content-Encoding"])
    async def test_what_says_how_to_read_it_is_said_once(self, client: httpx.AsyncClient, name: str) -> None:
        kinds = [(name, "application/json"), (name, "text/plain")]
        answer = await client.post("/body", content=b'{"a": 1, "a": 2}', headers=kinds)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == f"/header/{name.lower()}"

    @pytest.mark.parametrize(
        "kind",
        ["text/plain", "", "application/x-www-form-urlencoded", "a/json+json", "application/json; charset=utf-16"],
    )
    async def test_what_is_not_called_json_is_none(self, client: httpx.AsyncClient, kind: str) -> None:
        answer = await client.post("/body", content=b'{"a": 1}', headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["supported"]) == (415, ["application/json"])

    @pytest.mark.parametrize("path", ["/body", "/form", "/batch", "/raw"])
    @pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
    async def test_nothing_is_unpacked(self, client: httpx.AsyncClient, path: str, coding: str) -> None:
        kind = "application/x-www-form-urlencoded" if path == "/form" else "application/json"
        headers = {"Content-Type": kind, "Content-Encoding": coding}
        answer = await client.post(path, content=b'{"a": 1}', headers=headers)
        assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
        assert answer.json()["errors"][0]["pointer"] == "/header/content-encoding"
        headers["Content-Encoding"] = "Identity"
        assert (await client.post(path, content=b'{"a": 1}', headers=headers)).status_code == (
            422 if path == "/form" else 200
        )

    async def test_the_only_transfer_coding_is_chunked(self, client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "gzip, chunked"}
        answer = await client.post("/body", content=b'{"a": 1}', headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/header/transfer-encoding")

    async def test_a_form_is_read_as_one(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/form", data={"value": "1"})).json() == 1
        assert (await client.post("/form", files={"value": (None, "1")})).json() == 1

    @pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=a"])
    async def test_of_a_form_that_is_none_it_is_said_so(self, client: httpx.AsyncClient, kind: str) -> None:
        answer = await client.post("/form", content=b"--b\r\nno form", headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "form_invalid")

    async def test_findings_point_into_the_body_and_repeat_nothing(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/body", json={"a~/b": "hunter2"})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/a~0~1b"
        assert "hunter2" not in answer.text


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
