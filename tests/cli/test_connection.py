"""How long a server keeps a connection, as clients on it see it: no longer than it must, and never into a request."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop
from uvicorn import Server

from app.cli.connection import LULL_S, BoundedConfig, Connection
from tests.support.wire import Wire, request

KEPT_S, HEAD_S = 1, 2.0
PATIENCE_S = 10.0
LATE_S = 3.0  # a busy machine
SETTLED_S = 0.1  # the server has read what was sent
NewLoop = Callable[[], asyncio.AbstractEventLoop]
ASK = request("GET", "/", [(b"host", b"here")])
POST = request("POST", "/", [(b"host", b"here"), (b"content-length", b"4")])


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """Reads no body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Threaded:
    """A server in a thread of its own, whose loop can be kept busy."""

    def __init__(self, new_loop: NewLoop, http: type[Connection] = Connection) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._config = BoundedConfig(
            answering,
            head_timeout_s=HEAD_S,
            timeout_keep_alive=KEPT_S,
            http=http,
            lifespan="off",
            log_config=None,
        )
        self._server = Server(self._config)
        self._new_loop = new_loop
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def connect(self) -> Wire:
        return Wire(self._socket.getsockname()[1], timeout_s=PATIENCE_S)

    @contextmanager
    def overdue(self, seconds: float) -> Iterator[None]:
        """The block runs when all times of so long have run out and the loop, which was busy, hears of it next:
        after it looked at its connections, and before it does so again."""
        reached, left = threading.Event(), threading.Event()

        def wait() -> None:
            reached.set()
            left.wait(PATIENCE_S)

        def hold() -> None:
            self._loop.call_later(0.001, wait)
            time.sleep(seconds)

        self._loop.call_soon_threadsafe(hold)
        assert reached.wait(PATIENCE_S)
        try:
            yield
        finally:
            left.set()

    def leave(self) -> None:
        """Returns when its connections have been told."""
        self._server.should_exit = True
        while not self._config.leaving:
            time.sleep(0.01)

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._server.serve([self._socket]))


@pytest.fixture(scope="module", params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    made: NewLoop = request.param
    return made


@pytest.fixture(scope="module")
def server(new_loop: NewLoop) -> Iterator[Threaded]:
    one = Threaded(new_loop)
    yield one
    one.end()


@pytest.fixture
def leaving(new_loop: NewLoop) -> Iterator[Threaded]:
    """To be ended by the test."""
    one = Threaded(new_loop)
    yield one
    one.end()


def ended(wire: Wire) -> float:
    """Seconds until the server has closed it; a TimeoutError where it does not."""
    begun = time.monotonic()
    assert wire.socket.recv(1) == b""
    return time.monotonic() - begun


class TestAnIdleConnection:
    def test_is_closed(self, server: Threaded) -> None:
        with server.connect() as wire:
            assert wire.ask(ASK).status == 200
            assert ended(wire) < KEPT_S + LATE_S

    def test_is_closed_also_when_the_body_came_behind_its_answer(self, server: Threaded) -> None:
        with server.connect() as wire:
            assert wire.ask(POST).status == 200
            time.sleep(SETTLED_S)
            wire.socket.sendall(b"body")
            assert ended(wire) < KEPT_S + LATE_S

    def test_is_kept_for_the_next_request_when_the_body_came_behind_its_answer(self, server: Threaded) -> None:
        with server.connect() as wire:
            assert wire.ask(POST).status == 200
            wire.socket.sendall(b"body")
            time.sleep(SETTLED_S)
            assert wire.ask(ASK).status == 200

    def test_is_closed_also_when_line_breaks_came(self, server: Threaded) -> None:
        with server.connect() as wire:
            assert wire.ask(ASK).status == 200
            wire.socket.sendall(b"\r\n")
            assert ended(wire) < KEPT_S + LATE_S

    def test_is_closed_when_nothing_but_line_breaks_ever_came(self, server: Threaded) -> None:
        with server.connect() as wire:
            wire.socket.sendall(b"\r\n")
            assert ended(wire) < HEAD_S + LATE_S


class TestABusyLoop:
    """Bytes come after a time ran out, and before the loop has heard of it."""

    def test_answers_the_next_request_of_a_connection_that_is_kept(self, server: Threaded) -> None:
        with server.connect() as kept:
            assert kept.ask(ASK).status == 200
            with server.overdue(KEPT_S + 0.2):
                kept.socket.sendall(ASK)
            assert kept.answer().status == 200

    def test_answers_a_first_request(self, server: Threaded) -> None:
        with server.connect() as late:
            time.sleep(SETTLED_S)
            with server.overdue(HEAD_S + 0.2):
                late.socket.sendall(ASK)
            assert late.answer().status == 200

    def test_answers_a_request_whose_head_came_in_two(self, server: Threaded) -> None:
        with server.connect() as late:
            late.socket.sendall(ASK[:20])
            time.sleep(SETTLED_S)
            with server.overdue(HEAD_S + 0.2):
                late.socket.sendall(ASK[20:])
            assert late.answer().status == 200

    def test_waits_once_only_for_a_head_that_drips(self, server: Threaded) -> None:
        with server.connect() as late:
            late.socket.sendall(ASK[:20])
            time.sleep(SETTLED_S)
            with server.overdue(HEAD_S + 0.2):
                late.socket.sendall(ASK[20:21])
            begun = time.monotonic()
            assert late.answer().status == 408
            assert time.monotonic() - begun < HEAD_S

    def test_answers_what_came_at_the_end_of_the_lull(self, leaving: Threaded) -> None:
        with leaving.connect() as kept:
            assert kept.ask(ASK).status == 200
            leaving.leave()
            with leaving.overdue(LULL_S / 2):
                pass
            with leaving.overdue(LULL_S / 2):
                kept.socket.sendall(ASK)
            answer = kept.answer()
            assert answer.status == 200
            assert answer.closes


class TestWhatIsNoRequest:
    @pytest.mark.parametrize(
        ("head", "status", "why"),
        [
            (b"GET /" + b"a" * 100_000, 414, "the address is longer than 65535 bytes"),
            (b"GET /a HTTP/1.1\r\nx: " + b"a" * 400_000, 431, "the head is larger than 65536 bytes"),
            ("GET /é".encode(), 400, "must be sent as %XX"),
            (b"GET /?q=\xff", 400, "must be sent as %XX"),
            (b"hello", 400, "does not begin with a method"),
            (b"GET /a b", 400, "not HTTP/1.1"),
        ],
        ids=[
            "a long address",
            "a long head",
            "an address not in ASCII",
            "a query not in ASCII",
            "no method",
            "a space",
        ],
    )
    def test_is_refused_with_the_cause(self, server: Threaded, head: bytes, status: int, why: str) -> None:
        with server.connect() as wire:
            answer = wire.ask(head + b" HTTP/1.1\r\nhost: here\r\n\r\n")
        assert (answer.status, answer.kind) == (status, "application/problem+json")
        assert why in answer.json()["detail"]
        assert answer.closes


class Starved(Connection):
    def on_body(self, body: bytes) -> None:
        raise MemoryError


def test_where_no_memory_is_left_for_a_body_it_is_not_the_clients_fault(new_loop: NewLoop) -> None:
    server = Threaded(new_loop, Starved)
    try:
        with server.connect() as wire:
            answer = wire.ask(POST + b"body")
    finally:
        server.end()
    assert (answer.status, answer.headers["retry-after"], answer.closes) == (503, "1", True)
    assert "no memory" in answer.json()["detail"]
