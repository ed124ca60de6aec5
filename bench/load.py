"""A load client of its own process: prebuilt requests over kept-alive connections, every status checked.

It parses just enough HTTP (status and Content-Length) to stay far cheaper than the server it measures.
"""

import asyncio
import multiprocessing
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import uvloop


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one round showed: seconds in all, each answer's latency in ms, answers by status."""

    seconds: float
    latencies_ms: list[float]
    statuses: dict[int, int]
    bodies: list[bytes] = field(default_factory=list)
    by_address: dict[str, list[float]] = field(default_factory=dict)  # the same latencies

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.latencies_ms, share))


def request(method: str, path: str, token: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
    """One HTTP/1.1 request as bytes."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def address(sent: bytes) -> str:
    """Method and path of a request."""
    method, path, _ = sent.split(b" ", 2)
    return f"{method.decode()} {path.split(b'?')[0].decode()}"


class _Client(asyncio.Protocol):
    def __init__(self, work: "_Work") -> None:
        self._work = work
        self._buffer = bytearray()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._work.pause_s:  # users don't come in step
            asyncio.get_running_loop().call_later(random.random() * self._work.pause_s, self._next)
        else:
            self._next()

    def _next(self) -> None:
        if not self._work.queue:
            self._transport.close()
            return
        self._started = time.perf_counter()
        self._sent = self._work.queue.popleft()
        self._transport.write(self._sent)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self._work.note(int(head[9:12]), self._started, self._sent, bytes(self._buffer[end + 4 : end + 4 + length]))
        self._buffer.clear()
        if self._work.pause_s:
            asyncio.get_running_loop().call_later(self._work.pause_s, self._next)
        else:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._work.statuses[0] += 1
        if not self.done.done():
            self.done.set_result(None)


class _Work:
    def __init__(self, requests: Sequence[bytes], keep: int, pause_s: float) -> None:
        self.queue = deque(requests)
        self.pause_s = pause_s
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.bodies: list[bytes] = []
        self.by_address: defaultdict[str, list[float]] = defaultdict(list)
        self._keep = keep

    def note(self, status: int, started: float, sent: bytes, body: bytes) -> None:
        self.latencies.append((time.perf_counter() - started) * 1000)
        self.by_address[address(sent)].append(self.latencies[-1])
        self.statuses[status] += 1
        if len(self.bodies) < self._keep:
            self.bodies.append(body)


async def _drive(port: int, requests: Sequence[bytes], clients: int, keep: int, pause_s: float) -> Outcome:
    work = _Work(requests, keep, pause_s)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    made = [await loop.create_connection(lambda: _Client(work), "127.0.0.1", port) for _ in range(clients)]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    seconds = time.perf_counter() - started
    return Outcome(seconds, work.latencies, dict(work.statuses), work.bodies, dict(work.by_address))


def _child(pipe: object, port: int, requests: Sequence[bytes], clients: int, keep: int, pause_s: float) -> None:
    pipe.send(None)  # type: ignore[attr-defined]  ready: imports and unpickling are not part of the round
    pipe.recv()  # type: ignore[attr-defined]
    pipe.send(uvloop.run(_drive(port, requests, clients, keep, pause_s)))  # type: ignore[attr-defined]


def drive(
    port: int, requests: Sequence[bytes], *, clients: int, expect: int | set[int], keep: int = 0, pause_s: float = 0
) -> Outcome:
    """Sends all requests once over `clients` connections from a process of its own; any other status is an error.

    A connection rests for `pause_s` between an answer and its next request, and begins at any moment of a first rest.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(theirs, port, list(requests), clients, keep, pause_s), daemon=True)
    child.start()
    ours.recv()
    ours.send(None)
    outcome: Outcome = ours.recv()
    child.join()
    if not set(outcome.statuses) <= (expect if isinstance(expect, set) else {expect}):
        raise SystemExit(f"expected only {expect}, got {outcome.statuses}; {outcome.bodies[:1]}")
    return outcome
