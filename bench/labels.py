"""LABELS: batches of 1,000, their predictions drawn from all that is stored, against raw COPY at the same size."""

import asyncio
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
    rates: dict[int, float] = {}
    lines = []
    with database() as server, served(server.url) as stage:
        stage.model("bench")
        key = stage.key("predictions:write", "labels:write")
        stored = 0
        draw = np.random.default_rng(1)
        unlabelled = np.array([], dtype=np.int64)
        for size in sizes:
            fill(stage, key, stored, size)
            unlabelled = np.concatenate((unlabelled, np.arange(stored, size)))
            stored = size
            raw, ours = [], []
            asyncio.run(_raw_table(server.url, size))
            stage.settle()
            for _ in range(ROUNDS):
                draw.shuffle(unlabelled)
                chosen, unlabelled = unlabelled[: SIZE * BATCHES], unlabelled[SIZE * BATCHES :]
                bodies = [_labels(part, draw) for part in chosen.reshape(BATCHES, SIZE)]
                raw.append(asyncio.run(_raw_copy(server.url, size + 10**8 * (len(raw) + 1))))
                sent = [request("POST", "/api/v1/models/bench/labels", key, body) for body in bodies]
                ours.append(SIZE * drive(stage.port, sent, clients=CLIENTS, expect=201).per_second)
            rates[size] = statistics.median(ours)
            limit = statistics.median(raw)
            what = f"labels joined to {size:,} predictions"
            lines.append(Line(what, f"{rates[size]:,.0f} rows/s", f"{limit:,.0f} rows/s", rates[size] / limit, 0.25))
    small, large = (rates[size] for size in sizes)
    lines.append(Line(f"{sizes[1]:,} against {sizes[0]:,}", f"{large:,.0f}", f"{small:,.0f}", large / small, 0.7))
    show(
        f"LABELS, {CLIENTS} clients, medians of {ROUNDS} rounds",
        lines,
        "limit: raw binary COPY with key at that size; all folded and vacuumed before",
    )


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
