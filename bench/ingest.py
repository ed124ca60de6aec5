"""INGEST: predictions over HTTP, durable when answered, against raw binary COPY into a table with a primary key.

`--full` also sends random ids (UUIDs) to a model that holds ten million of them: an index that fits no cache.
"""

import asyncio
import statistics
import time
from collections.abc import Callable

import asyncpg

from bench.bare import bare
from bench.load import drive, request
from bench.report import Line, show
from bench.rows import ARROW, RAW_TABLE, Numbering, Rows
from bench.stage import Stage, database, served

CLIENTS = 16
ROUNDS = 3
FORMS: dict[str, tuple[Callable[[Rows], bytes], str]] = {
    "rows": (Rows.rows, "application/json"),
    "columns": (Rows.columns, "application/json"),
    "arrow": (Rows.arrow, ARROW),
}
# batch size -> least ratio per form (spec of the product's performance, ordered ids)
TARGETS = {1_000: {"rows": 0.45, "columns": 0.65, "arrow": 0.8}, 10_000: {"rows": 0.3, "columns": 0.45, "arrow": 0.6}}
BATCHES = {1_000: 160, 10_000: 24}
STORED = 10_000_000  # random ids before the random ones are timed
RANDOM_TARGETS = {"rows": 0.35, "columns": 0.45, "arrow": 0.5}
FILLED_BY = 10_000


def run(*, full: bool) -> None:
    with database() as server, served(server.url) as stage:
        stage.model("bench")
        key = stage.key("predictions:write", "labels:write")
        numbers = Numbering()
        for size in TARGETS:
            _batches(stage, server.url, key, size, numbers, rounds=ROUNDS if not full else 2 * ROUNDS)
        _singles(stage, key, numbers, requests=6_000 if not full else 20_000)
        if full:
            _random_ids(stage, server.url, key, numbers)


def _batches(stage: Stage, url: str, key: str, size: int, numbers: Numbering, *, rounds: int) -> None:
    lines = _interleaved(stage, url, key, size, numbers, rounds=rounds, model="bench", targets=TARGETS[size])
    show(
        f"INGEST, {CLIENTS} clients, medians of {rounds} interleaved rounds",
        lines,
        "limit: raw binary COPY, one connection",
    )


def _random_ids(stage: Stage, url: str, key: str, numbers: Numbering) -> None:
    stage.model("random")
    for _ in range(0, STORED, 20 * FILLED_BY):
        bodies = [Rows(numbers.take(FILLED_BY), FILLED_BY, random_ids=True).arrow() for _ in range(20)]
        sent = [request("POST", "/api/v1/models/random/predictions", key, body, ARROW) for body in bodies]
        drive(stage.port, sent, clients=4, expect=201)
    stage.settle()  # the fill's own folding is not what is measured
    lines = _interleaved(
        stage, url, key, 1_000, numbers, rounds=2 * ROUNDS, model="random", targets=RANDOM_TARGETS, random_ids=True
    )
    show(
        f"INGEST of random ids into {STORED:,}, {CLIENTS} clients, medians of {2 * ROUNDS} interleaved rounds",
        lines,
        "limit: raw binary COPY of ordered ids into an empty table, one connection",
    )


def _interleaved(
    stage: Stage,
    url: str,
    key: str,
    size: int,
    numbers: Numbering,
    *,
    rounds: int,
    model: str,
    targets: dict[str, float],
    random_ids: bool = False,
) -> list[Line]:
    raw: list[float] = []
    ours: dict[str, list[float]] = {form: [] for form in FORMS}
    tails: dict[str, float] = {}
    for _ in range(rounds):
        raw.append(_raw_copy(url, size, numbers))
        for form, (encode, content_type) in FORMS.items():
            bodies = [encode(Rows(numbers.take(size), size, random_ids=random_ids)) for _ in range(BATCHES[size])]
            sent = [request("POST", f"/api/v1/models/{model}/predictions", key, body, content_type) for body in bodies]
            outcome = drive(stage.port, sent, clients=CLIENTS, expect=201)
            ours[form].append(size * outcome.per_second)
            tails[form] = outcome.percentile(99)
    limit = statistics.median(raw)
    lines = []
    for form, rates in ours.items():
        rate = statistics.median(rates)
        what = f"{form}, batches of {size:,} (p99 {tails[form]:.0f} ms)"
        lines.append(Line(what, f"{rate:,.0f} rows/s", f"{limit:,.0f} rows/s", rate / limit, targets[form]))
    return lines


def _raw_copy(url: str, size: int, numbers: Numbering) -> float:
    batches = [Rows(numbers.take(size), size).copy() for _ in range(BATCHES[size] // 2)]

    async def copy() -> float:
        connection = await asyncpg.connect(url)
        await connection.execute("drop table if exists raw")
        await connection.execute(RAW_TABLE)
        started = time.perf_counter()
        for body in batches:
            await connection.copy_to_table("raw", source=_once(body), format="binary")
        seconds = time.perf_counter() - started
        await connection.close()
        return size * len(batches) / seconds

    return asyncio.run(copy())


async def _once(body: bytes):  # type: ignore[no-untyped-def]
    yield body


def _singles(stage: Stage, key: str, numbers: Numbering, *, requests: int) -> None:
    """One prediction a request: against the bare FastAPI endpoint that only decodes the same body."""
    ours, limits, tails = [], [], []
    with bare() as port:
        for _ in range(ROUNDS):
            bodies = [Rows(numbers.take(1), 1).rows() for _ in range(requests)]
            plain = drive(port, [request("POST", "/decode", key, body) for body in bodies], clients=CLIENTS, expect=200)
            path = "/api/v1/models/bench/predictions"
            outcome = drive(
                stage.port, [request("POST", path, key, body) for body in bodies], clients=CLIENTS, expect=201
            )
            limits.append(plain.per_second)
            ours.append(outcome.per_second)
            tails.append(outcome.percentile(99))
    rate, limit, tail = statistics.median(ours), statistics.median(limits), statistics.median(tails)
    show(
        f"INGEST one by one, {CLIENTS} clients",
        [
            Line("single predictions", f"{rate:,.0f} req/s", f"{limit:,.0f} req/s", rate / limit, 0.35),
            Line("their p99 in ms", f"{tail:.1f} ms", "", tail, 40, at_most=True),
        ],
        "limit: a bare FastAPI endpoint that only decodes the same body",
    )
