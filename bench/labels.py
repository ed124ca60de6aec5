"""LABELS: batches of 1,000, their predictions drawn from all that is stored, against raw COPY at the same size."""

import asyncio
import contextlib
import statistics
import time

import asyncpg
import msgspec
import numpy as np

from bench.load import drive, request
from bench.report import Line, show
from bench.rows import ARROW, RAW_TABLE, Rows
from bench.stage import Stage, database, served

SIZE = 1_000
CHUNK = 10_000
CLIENTS = 4
BATCHES = 60
ROUNDS = 3


def run(*, full: bool) -> None:
    sizes = (1_000_000, 10_000_000) if full else (200_000, 1_000_000)
    draw = np.random.default_rng(1)
    with contextlib.ExitStack() as stack:
        stores = [Store(stack, size, draw) for size in sizes]
        for _ in range(ROUNDS):  # in turns, so that both meet the same machine
            for store in stores:
                store.round()
    small, large = stores
    ratio = statistics.median(mine / theirs for mine, theirs in zip(large.ours, small.ours, strict=True))
    what = f"{large.size:,} against {small.size:,}"
    show(
        f"LABELS, {CLIENTS} clients, medians of {ROUNDS} interleaved rounds",
        [small.line(), large.line(), Line(what, *(f"{store.rate:,.0f}" for store in (large, small)), ratio, 0.7)],
        "limit: raw binary COPY with key at that size; each size has a database of its own, folded and vacuumed before",
    )


class Store:
    """A served product of its own with so many predictions, and a raw table of as many rows."""

    def __init__(self, stack: contextlib.ExitStack, size: int, draw: np.random.Generator) -> None:
        self.size = size
        self.ours: list[float] = []
        self._raw: list[float] = []
        self._draw = draw
        self._url = stack.enter_context(database()).url
        self._stage: Stage = stack.enter_context(served(self._url))
        self._stage.model("bench")
        self._key = self._stage.key("predictions:write", "labels:write")
        fill(self._stage, self._key, 0, size)
        asyncio.run(_raw_table(self._url, size))
        self._stage.settle()
        self._unlabelled = np.arange(size)

    @property
    def rate(self) -> float:
        return statistics.median(self.ours)

    def round(self) -> None:
        self._draw.shuffle(self._unlabelled)
        chosen, self._unlabelled = self._unlabelled[: SIZE * BATCHES], self._unlabelled[SIZE * BATCHES :]
        bodies = [_labels(part, self._draw) for part in chosen.reshape(BATCHES, SIZE)]
        self._raw.append(asyncio.run(_raw_copy(self._url, self.size + 10**8 * (len(self._raw) + 1))))
        sent = [request("POST", "/api/v1/models/bench/labels", self._key, body) for body in bodies]
        self.ours.append(SIZE * drive(self._stage.port, sent, clients=CLIENTS, expect=201).per_second)

    def line(self) -> Line:
        raw, what = statistics.median(self._raw), f"labels joined to {self.size:,} predictions"
        return Line(what, f"{self.rate:,.0f} rows/s", f"{raw:,.0f} rows/s", self.rate / raw, 0.25)


def fill(stage: Stage, key: str, first: int, last: int, *, hours: float = 720, model: str = "bench") -> None:
    """Stores predictions `first` to `last` through the product, spread over `hours`."""
    path = f"/api/v1/models/{model}/predictions"
    for start in range(first, last, 20 * CHUNK):
        edges = range(start, min(start + 20 * CHUNK, last), CHUNK)
        batches = [Rows(edge, min(CHUNK, last - edge), hours=hours) for edge in edges]
        sent = [request("POST", path, key, rows.arrow(), ARROW) for rows in batches]
        drive(stage.port, sent, clients=4, expect=201)


def _labels(numbers: np.ndarray, draw: np.random.Generator) -> bytes:
    return msgspec.json.encode(
        {
            "columns": {
                "prediction_id": [f"p{number:010d}" for number in numbers.tolist()],
                "actual": draw.choice(["0", "1"], len(numbers)).tolist(),
            }
        }
    )


async def _raw_table(url: str, size: int) -> None:
    connection = await asyncpg.connect(url, command_timeout=600)
    await connection.execute("drop table if exists raw")
    await connection.execute(RAW_TABLE)
    for first in range(0, size, CHUNK):
        await connection.copy_to_table("raw", source=_once(Rows(first, CHUNK).copy()), format="binary")
    await connection.close()


async def _raw_copy(url: str, first: int) -> float:
    bodies = [Rows(first + i * SIZE, SIZE).copy() for i in range(BATCHES)]
    connection = await asyncpg.connect(url)
    started = time.perf_counter()
    for body in bodies:
        await connection.copy_to_table("raw", source=_once(body), format="binary")
    seconds = time.perf_counter() - started
    await connection.close()
    return SIZE * BATCHES / seconds


async def _once(body: bytes):  # type: ignore[no-untyped-def]
    yield body
