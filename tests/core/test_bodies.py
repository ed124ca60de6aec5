"""Bodies on their way in."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.edge import Gate
from tests.support.edges import KIB, application, client_of


@pytest.fixture
async def client(gate: Gate) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(gate)) as made:
        yield made


def pieces(size: int, piece: int = 100) -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size // piece):
            yield b" " * piece

    return chunks()


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
