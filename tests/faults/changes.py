"""Changes sent under kills, each attempt under a request id of its own, and what the database shows of them afterwards.

A change of unknown fate is sent again or left, by chance. Whatever became of it: as many rows of the audit say that it
was done as it has effects, and whoever was told of it has exactly one row.
"""

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.idempotency.route import REPLAYED
from tests.faults import ledger
from tests.support.counts import Counts
from tests.support.served import ServedProduct

TRIES = 2400  # AGAIN_S apart: a server that starts on a busy machine takes its time
AGAIN_S = 0.1
GIVES_UP = 0.3
NOT_NOW = {0, 429, 503}  # 0: no answer


@dataclass(frozen=True)
class Effect:
    """How often something was done: SQL that says it, and what it asks about."""

    sql: str
    about: tuple[Any, ...] = ()


@dataclass
class Change:
    """One operation on one thing; it has no `effect` where nothing of it is left to count."""

    operation: str
    action: str
    effect: Effect | None
    sent: list[str] = field(default_factory=list)  # request ids
    told: list[str] = field(default_factory=list)  # those that were answered with 2xx
    replayed: bool = False


class Unknown(Exception):  # noqa: N818  nothing is wrong with it
    """Nobody knows what became of a change, so nothing can follow it."""


@dataclass
class Log:
    """Of one test: `name` begins all that it makes."""

    name: str
    changes: list[Change] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    def new(self) -> str:
        return f"{self.name}-{next(self.numbers)}"


class Writer:
    """Sends changes, one after the other."""

    def __init__(self, client: httpx.AsyncClient, log: Log, draw: random.Random) -> None:
        self._client, self._log, self._draw = client, log, draw

    async def change(
        self,
        operation: str,
        action: str,
        effect: Effect | None,
        places: dict[str, Any] | None = None,
        *,
        once: bool = False,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> httpx.Response:
        """The answer that says it is done; raises `Unknown`. `once`: it takes an `Idempotency-Key`."""
        made = Change(operation, action, effect)
        self._log.changes.append(made)
        method, path = operation.split()
        given = dict(headers or {})
        if once and self._draw.random() < 0.5:
            given["Idempotency-Key"] = self._log.new()
        for _ in range(TRIES):
            made.sent.append(self._log.new())
            answer = await self._send(
                method, path.format_map(places or {}), headers={**given, "X-Request-ID": made.sent[-1]}, **body
            )
            if answer is not None and answer.is_success:
                made.replayed = REPLAYED in answer.headers
                made.told += [] if made.replayed else made.sent[-1:]
                return answer
            if answer is not None and answer.status_code not in NOT_NOW:
                if len(made.sent) == 1:
                    self._log.refused.append(f"{operation}: {answer.status_code} {answer.text}")
                raise Unknown(operation)  # an attempt before may have done it
            if self._draw.random() < GIVES_UP:
                raise Unknown(operation)
            await asyncio.sleep(AGAIN_S)
        raise AssertionError("the product did not come back")

    async def look(self, path: str) -> httpx.Response:
        for _ in range(TRIES):
            answer = await self._send("GET", path)
            if answer is not None and answer.status_code not in NOT_NOW:
                return answer.raise_for_status()
            await asyncio.sleep(AGAIN_S)
        raise AssertionError("the product did not come back")

    def new(self) -> str:
        return self._log.new()

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        try:
            answer = await self._client.request(method, path, **options)
        except httpx.TransportError:
            answer = None
        self._log.statuses[0 if answer is None else answer.status_code] += 1
        return answer


Life = Callable[[Writer], Awaitable[None]]


@asynccontextmanager
async def changing(
    product: ServedProduct, name: str, lives: Sequence[Life], draw: random.Random, *, writers: int
) -> Any:
    """One whole life of each kind undisturbed; then writers begin one after the other until the block ends."""
    log, over = Log(name), asyncio.Event()
    async with ledger.client_of(product) as client:
        for life in lives:
            await life(Writer(client, log, draw))

        async def go_on(first: int, writer: Writer) -> None:
            for life in itertools.islice(itertools.cycle(lives), first, None):
                if over.is_set():
                    return
                try:
                    await life(writer)
                except Unknown:
                    await asyncio.sleep(AGAIN_S)

        async with asyncio.TaskGroup() as group:
            for number in range(writers):
                group.create_task(go_on(number, Writer(client, log, random.Random(draw.random()))))
            try:
                yield log
            finally:
                over.set()


async def count(counts: Counts, product: ServedProduct, log: Log) -> None:
    connection = await ledger.connected(product)
    rows = await connection.fetch("select * from audit where starts_with(request_id, $1) order by id", f"{log.name}-")
    by_request = defaultdict(list)
    for row in rows:
        by_request[row["request_id"]].append(row)
    attempts = {request for change in log.changes for request in change.sent}
    told = [request for change in log.changes for request in change.told]
    counts.note(
        "changes", f"{len(log.changes)} in {len(attempts)} attempts, {len(attempts) - len(told)} of them unknown"
    )
    counts.none("told and without a row", {*told} - set(by_request), len(told))
    counts.none("attempts with two rows", [each for each, of in by_request.items() if len(of) > 1], len(attempts))
    counts.note("rows of those who were not told", len(set(by_request) - {*told}))
    counts.none("rows of nobody's attempt", set(by_request) - attempts, len(rows))
    by_change = [(change, [row for each in change.sent for row in by_request[each]]) for change in log.changes]
    counts.none(
        "rows of another action",
        [row["action"] for change, found in by_change for row in found if row["action"] != change.action],
        len(rows),
    )
    without_row, without_effect, lost = [], [], []
    for change, found in by_change:
        if change.effect is None:
            continue
        done = sum(row["outcome"] == "done" for row in found)
        effects = await connection.fetchval(change.effect.sql, *change.effect.about)
        without_row += [change.operation] * max(0, effects - done)
        without_effect += [change.operation] * max(0, done - effects)
        lost += [change.operation] * ((change.told != [] or change.replayed) and not found)
    counts.none("effects without a row", without_row)
    counts.none("rows without their effect", without_effect, len(rows))
    counts.none("told and lost", lost, len(told))
    counts.none("states that do not follow from the one before", _breaks(rows))
    counts.none("refused at the first attempt", log.refused)
    counts.none("5xx but 503", [status for status in log.statuses if status >= 500 and status != 503])
    counts.note("answers", dict(sorted(log.statuses.items())))
    await connection.close()


def _breaks(rows: Sequence[Any]) -> list[str]:
    """People and keys, whose rows hold all that they ever were."""
    last: dict[str, bytes] = {}
    broken = []
    for row in rows:
        if row["after"] is not None and row["object"].startswith(("user:", "key:")):
            if last.get(row["object"]) != row["before"]:
                broken.append(f"{row['object']} at {row['id']}")
            last[row["object"]] = row["after"]
    return broken
