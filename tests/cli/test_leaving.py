"""The end of a server, as clients on their connections see it: no request that was on its way is cut off."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uvicorn import Server

from app.cli.connection import LULL_S, BoundedConfig

ASK = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Ending:
    """A server in the test's own loop, and connections to it."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        config = BoundedConfig(
            answering,
            head_timeout_s=10.0,
            http="app.cli.connection:Connection",
            loop="none",
            lifespan="off",
            log_config=None,
        )
        self._server = Server(config)
        self._writers: list[asyncio.StreamWriter] = []
        self._serving = asyncio.create_task(self._server.serve([self.socket]))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Returns when the server has it."""
        before = len(self._server.server_state.connections)
        reader, writer = await asyncio.open_connection(*self.socket.getsockname())
        while len(self._server.server_state.connections) == before:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.01)
        self._writers.append(writer)
        return reader, writer

    async def end(self) -> None:
        """Returns when it takes no more connections."""
        self._server.should_exit = True
        while any(server.is_serving() for server in self._server.servers):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def ended(self) -> float:
        """Seconds until it has."""
        begun = time.monotonic()
        await self._serving
        for writer in self._writers:
            writer.close()
        return time.monotonic() - begun


@pytest.fixture
async def server() -> AsyncIterator[Ending]:
    yield (one := Ending())
    await one.end()
    await one.ended()


class TestTheEnd:
    async def test_answers_a_first_request_that_was_on_its_way(self, server: Ending) -> None:
        reader, writer = await server.connect()
        await server.end()
        writer.write(ASK)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"\r\nconnection: close\r\n" in answer

    async def test_answers_the_next_request_on_a_connection_that_is_kept(self, server: Ending) -> None:
        reader, writer = await server.connect()
        writer.write(ASK)
        first = await reader.readuntil(b"ok")
        await server.end()
        writer.write(ASK)
        second = await reader.read()
        assert b"connection: close" not in first
        assert second.startswith(b"HTTP/1.1 200")
        assert b"\r\nconnection: close\r\n" in second

    async def test_answers_a_request_of_which_half_has_come(self, server: Ending) -> None:
        reader, writer = await server.connect()
        writer.write(ASK[:20])
        await server.end()
        await asyncio.sleep(1.5 * LULL_S)
        writer.write(ASK[20:])
        assert (await reader.read()).startswith(b"HTTP/1.1 200")

    async def test_does_not_wait_longer_for_who_asks_nothing(self, server: Ending) -> None:
        reader, _ = await server.connect()
        await server.end()
        assert LULL_S / 2 < await server.ended() < LULL_S + 2.0
        assert await reader.read() == b""

    async def test_does_not_wait_where_nobody_is(self, server: Ending) -> None:
        _, writer = await server.connect()
        writer.close()
        await writer.wait_closed()
        await server.end()
        assert await server.ended() < LULL_S
