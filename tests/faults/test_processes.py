"""API processes that are killed, starved of memory or replaced: others serve, nothing acknowledged is lost."""

import asyncio
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults import ledger
from tests.faults.injecting import Fault, children, health, inflicted, ready, until
from tests.support.counts import Counts, forms
from tests.support.room import room
from tests.support.served import ServedProduct, wait_for
from tests.support.wire import Answer, Wire, request

WORKERS = 2
RESPAWN_S = 5.0
BIG_ROWS = 20_000
HANGS_S = 60.0  # who has heard nothing by then never will


@pytest.fixture(scope="module")
def pair() -> Iterator[ServedProduct]:
    """Two workers that share a port."""
    with room() as folder:
        served = ServedProduct(folder, "--workers", str(WORKERS))
        served.start()
        try:
            wait_for(lambda: begun(served) == WORKERS)
            served.wait_until_ready()
            yield served
        finally:
            served.stop()


def workers(product: ServedProduct) -> set[int]:
    return {pid for pid in children(product.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def begun(product: ServedProduct) -> int:
    """How many workers have ever begun to serve."""
    return product.log.read_text().count("Application startup complete")


class WorkerKilled(Fault):
    """SIGKILL of one worker; the other goes on, and the supervisor starts a new one."""

    def __init__(self, product: ServedProduct, draw: random.Random) -> None:
        self._product, self._draw = product, draw
        self._victim = 0
        self._began = 0

    async def set_up(self) -> None:
        await until(self.complete)
        self._began = begun(self._product)

    async def inject(self) -> None:
        self._victim = self._draw.choice(sorted(workers(self._product)))
        os.kill(self._victim, signal.SIGKILL)

    async def propagated(self) -> bool:
        return self._victim not in workers(self._product)

    async def recover(self) -> None:
        """The supervisor's business."""

    async def recovered(self) -> bool:
        """Another one has begun to serve."""
        return begun(self._product) > self._began and await self.complete()

    async def complete(self) -> bool:
        return len(workers(self._product) - {self._victim}) == WORKERS and await ready(self._product)

    async def clean_up(self) -> None:
        await until(self.complete)


def address_space(pid: int) -> int:
    """In bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


class WorkerStarved(WorkerKilled):
    """A worker may take no more memory than it has: what needs some fails, and it may die of it."""

    async def inject(self) -> None:
        self._victim = self._draw.choice(sorted(workers(self._product)))
        size = address_space(self._victim)
        resource.prlimit(self._victim, resource.RLIMIT_AS, (size, size))

    async def propagated(self) -> bool:
        soft, _ = resource.prlimit(self._victim, resource.RLIMIT_AS)
        return soft != resource.RLIM_INFINITY

    async def recover(self) -> None:
        with suppress(ProcessLookupError):  # it has died of it
            os.kill(self._victim, signal.SIGKILL)


@pytest.mark.fault("F3", "F1")
class TestWorkers:
    @forms(smoke=1, long=50)
    async def test_one_that_is_killed_in_the_middle_is_replaced_and_loses_nothing(
        self, pair: ServedProduct, draw: random.Random, counts: Counts, size: int
    ) -> None:
        respawned, unserved = [], 0
        async with ledger.writing(pair, "killed", draw, writers=4) as written:
            for _ in range(size):
                await asyncio.sleep(draw.uniform(0.1, 0.4))
                async with inflicted(WorkerKilled(pair, draw)) as times:
                    unserved += await health(pair, "live") != 200
                respawned.append(times.recovered_s)
        counts.note("kills", size)
        counts.none("moments without a worker that serves", unserved, size)
        counts.note("replaced after at most", f"{max(respawned):.2f} s")
        if size > 1:  # the short form runs on machines that do other things, and a start is seconds of processor
            counts.at_most("replaced after", max(respawned), RESPAWN_S, " s")
        await ledger.count(counts, pair, written)
        counts.judge()


def send_much(port: int, head: list[tuple[bytes, bytes]]) -> tuple[int, float]:
    """The status of a batch that takes some ten megabytes to read (0: the connection ended), and its seconds."""
    row = {"prediction_id": "x" * 100, "score": 0.5, "features": {"a": 1.0, "b": "text"}}
    body = json.dumps({"predictions": [row] * BIG_ROWS}).encode()
    begun_at = time.monotonic()
    with Wire(port, timeout_s=HANGS_S) as wire:
        status = wire.ask(request("POST", "/api/v1/models/none/predictions", head, body)).status
    return status, time.monotonic() - begun_at


@pytest.mark.fault("F30", "F1")
class TestMemory:
    @forms(smoke=1, long=10)
    async def test_a_worker_without_memory_answers_503_or_dies_alone(
        self, pair: ServedProduct, draw: random.Random, counts: Counts, size: int
    ) -> None:
        big: list[tuple[int, float]] = []
        head = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + pair.token().encode())]
        async with ledger.writing(pair, "starved", draw, writers=4) as written:
            for _ in range(size):
                async with inflicted(WorkerStarved(pair, draw)):
                    big += await asyncio.gather(*(asyncio.to_thread(send_much, pair.port, head) for _ in range(4)))
        statuses = Counter(status for status, _ in big)
        counts.note("answers to bodies that need memory (0: the connection ended)", dict(statuses))
        counts.none("other answers than 2xx, 4xx, 503, or the end", set(statuses) - {0, 201, 404, 422, 503})
        counts.at_most("slowest of them", max(seconds for _, seconds in big), HANGS_S / 2, " s")
        await ledger.count(counts, pair, written)
        counts.judge()


class Successive:
    """Servers on one socket that this process holds, as a service manager does: the next starts, then the last ends."""

    def __init__(self, product: ServedProduct) -> None:
        self._environment = product.environment | {"ASSAY_DATABASE__URL": product.database_url}
        self._folder = product.data.parent
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = int(self.socket.getsockname()[1])
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Returns when it answers: it says so in its log."""
        log = self._folder / f"successive-{time.monotonic_ns()}.log"
        serve = f'exec "{sys.executable}" -m app.cli serve --no-migrate'
        # bash: plain sh takes descriptors of one digit only
        command = f"LISTEN_PID=$$ LISTEN_FDS=1 {serve} 3<&{self.socket.fileno()}"
        with log.open("wb") as sink:
            started = subprocess.Popen(
                ["bash", "-c", command],
                env=self._environment,
                stdout=sink,
                stderr=sink,
                pass_fds=(self.socket.fileno(),),
            )
        while b"Assay answers on" not in log.read_bytes():
            assert started.poll() is None, log.read_text()[-3000:]
            time.sleep(0.02)
        return started

    def replace(self) -> int:
        """The exit status of the one before."""
        before, self.running = self.running, self.start()
        return 0 if before is None else self.end(before)

    def end(self, process: subprocess.Popen[bytes]) -> int:
        process.terminate()
        return process.wait(60)

    def close(self) -> None:
        if self.running is not None:
            self.end(self.running)
        self.socket.close()


async def open_loop(port: int, rate: int, stop: asyncio.Event, raw: bytes) -> list[Answer]:
    """Requests at their times, however long the others take, each on a connection of its own."""
    loop = asyncio.get_running_loop()
    sent: list[asyncio.Future[Answer]] = []
    while not stop.is_set():
        sent.append(loop.run_in_executor(None, _once, port, raw))
        await asyncio.sleep(1 / rate)
    return list(await asyncio.gather(*sent))


def _once(port: int, raw: bytes) -> Answer:
    with Wire(port, timeout_s=30) as wire:
        return wire.ask(raw)


def slowly(port: int, head: list[tuple[bytes, bytes]]) -> int:
    """The status of a request whose body takes a second: it is under way when the signal comes."""
    raw = request("POST", "/api/v1/models/none/predictions", [*head, (b"content-length", b"2")])
    with Wire(port, timeout_s=30) as wire:
        wire.socket.sendall(raw)
        time.sleep(1)
        return wire.ask(b"{}").status


@pytest.mark.fault("F8", "G4")
class TestDrain:
    @forms(smoke=(1, 50), long=(50, 200))
    async def test_a_server_is_replaced_under_load_and_nothing_is_lost(
        self, product: ServedProduct, counts: Counts, size: tuple[int, int]
    ) -> None:
        restarts, rate = size
        token, stop, ended, waited = product.token().encode(), asyncio.Event(), [], []
        servers = Successive(product)
        try:
            await asyncio.to_thread(servers.replace)
            head = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + token), (b"connection", b"close")]
            load = asyncio.create_task(open_loop(servers.port, rate, stop, request("GET", "/api/v1/models", head)))
            for _ in range(restarts):
                under_way = [asyncio.create_task(asyncio.to_thread(slowly, servers.port, head)) for _ in range(4)]
                await asyncio.sleep(0.2)
                ended.append(await asyncio.to_thread(servers.replace))
                waited += await asyncio.gather(*under_way)
            stop.set()
            answers = await load
        finally:
            stop.set()
            servers.close()
        counts.note("restarts", restarts)
        counts.none("lost", Counter(a.status for a in answers if a.status != 200), len(answers))
        counts.none("under way when the end came, and unanswered", waited.count(0), len(waited))
        counts.none("ended out of order", [status for status in ended if status], restarts)
        counts.judge()
