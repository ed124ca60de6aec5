"""Counting everything again from raw rows: a check bit for bit, and a repair.

Under the model's fold lock the rollups and the mark stand still. What they must hold is then what the raw rows of one
snapshot count, less the deltas of the same snapshot that are not folded yet. Days whose raw rows retention dropped are
left as they are: cohorts before the first whole day that is there. Memory holds one slice of rows at a time.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.core.clock import DAY, MINUTE, Clock
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.stats.sparse import Sparse, negate, regroup
from app.stats.sparse import merge as merge_sparse
from app.tracking.arrival import first_block
from app.tracking.ledger import Ledger, merge, unpack
from app.tracking.repository import erasures, folding, raw
from app.tracking.repository import rollups as tables
from app.tracking.repository.folding import Mark
from app.tracking.repository.rollups import RECOUNTED
from app.tracking.rollups.expansions import Expansions
from app.tracking.rollups.grains import DAYS, TOTAL, Rows, add_up, minute_floor, rollups, since
from app.tracking.rollups.recount import count_blocks, count_labels

ENTRIES_AT_ONCE = 1_000_000  # of a ledger that is kept back before it is added: about 30 MB
LISTED = 100
TOTALS_AT_ONCE = 500
_EVER = -(2**31)  # before every cohort


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not what the raw rows say; `key` as in `ROLLUP_KEY` or `TRIANGLE_KEY`."""

    table: str
    key: tuple[int, ...]
    entries: int  # codes whose amounts differ


class Rebuild:
    """`check` finds, `rebuild` mends."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._expansions = Expansions()

    async def check(self, facts: ModelFacts) -> list[Difference]:
        """The first hundred rows of each table that differ from the raw rows; none is how it should be."""
        async with self._database.transaction() as writer:
            await folding.wait_for_lock(writer, facts.id)
            await tables.make_recounted(writer)
            async with self._database.transaction(snapshot=True) as reader:
                mark = await folding.mark(reader, facts.id)
                await self._replay(writer, reader, facts, mark, suffix=RECOUNTED)
            found = await self._differences(writer, facts, first_minute(mark))
            return found + await self._wrong_totals(writer, facts)

    async def mend(self, facts: ModelFacts) -> list[Difference]:
        """Writes the rollups anew, and checks once more: what differs still."""
        await self.rebuild(facts)
        return await self.check(facts)

    async def rebuild(self, facts: ModelFacts) -> None:
        """Writes the rollups anew, in one transaction; folding of this model waits meanwhile, readers don't."""
        async with self._database.transaction() as writer:
            await folding.wait_for_lock(writer, facts.id)
            async with self._database.transaction(snapshot=True) as reader:
                mark = await folding.mark(reader, facts.id)
                for table in ("rollup", "triangle"):
                    await tables.clear(writer, table, facts.id, from_minute=first_minute(mark))
                await self._replay(writer, reader, facts, mark, suffix="")
            for table in ("rollup", "triangle"):
                await tables.drop_empty(writer, table, facts.id)
            await tables.remove(writer, facts.id, TOTAL)
            await tables.add(writer, "rollup", facts.id, await _totals(writer, facts.id))
            await folding.set_mark(writer, facts.id, replace(mark, epoch=mark.epoch + 1))
            await folding.announce(writer, facts.id)

    async def _replay(self, writer: Any, reader: Any, facts: ModelFacts, mark: Mark, *, suffix: str) -> None:
        """Adds all that the snapshot's raw rows count, less its unfolded deltas."""
        kept: list[Ledger] = []
        async for ledger in self._recounted(reader, facts, mark):
            kept.append(since(ledger, first_minute(mark)))
            if sum(len(part.sparse) for part in kept) >= ENTRIES_AT_ONCE:
                await self._add(writer, facts.id, merge(kept), suffix)
                kept = []
        await self._add(writer, facts.id, merge(kept), suffix)

    async def _add(self, writer: Any, model_no: int, ledger: Ledger, suffix: str) -> None:
        contexts = await self._expansions.of(writer, model_no, ledger.cells["context"])
        now, then = await asyncio.to_thread(rollups, ledger, contexts, self._clock.now_us())
        for table, rows in (("rollup", _without_totals(now)), ("triangle", then)):
            await tables.add(writer, table + suffix, model_no, rows)

    async def _recounted(self, reader: Any, facts: ModelFacts, mark: Mark) -> AsyncIterator[Ledger]:
        span = await raw.days_with_rows(reader, facts.id)
        if span is not None:
            first = max(span[0], first_block(mark.retained_from) if mark.retained_from else 0)
            async for blocks in raw.blocks_of(reader, facts.id, first, span[1] + 1):
                yield await asyncio.to_thread(count_blocks, facts.shape, blocks)
            async for labels in raw.labels_of(reader, facts.id, first, span[1] + 1):
                yield await asyncio.to_thread(count_labels, facts.shape, labels)
        yield await erasures.ledger(reader, facts.id)
        batch = folding.Batch([], mark.xid, more=True)
        while batch.more:
            batch = await folding.deltas(reader, facts.id, since=batch.upto, below=_NO_TRANSACTION)
            yield _taken_back(merge([unpack(body) for body in batch.bodies]))

    async def _differences(self, writer: Any, facts: ModelFacts, from_minute: int) -> list[Difference]:
        found = []
        minutes_from = minute_floor(self._clock.now_us())
        for table in ("rollup", "triangle"):
            rows = await tables.unlike(
                writer, table, facts.id, from_minute=from_minute, minutes_from=minutes_from, limit=LISTED
            )
            for key, stands, counted in rows:
                entries = len(_difference(stands, counted))
                if entries:
                    found.append(Difference(table, key, entries))
        return found

    async def _wrong_totals(self, writer: Any, facts: ModelFacts) -> list[Difference]:
        """Totals must be the sum of the days, those without raw rows too."""
        stands = [
            _row(key, vector)
            for key, vector in await tables.vectors(writer, facts.id, TOTAL, (_EVER, _EVER, _EVER), 1_000_000)
        ]
        days = await _totals(writer, facts.id)
        left = add_up([days, *(Rows(rows.keys, negate(rows.sparse)) for rows in stands)])
        cells, entries = np.unique(left.sparse.cell, return_counts=True)
        return [
            Difference("rollup", tuple(int(column[cell]) for column in left.keys), int(count))
            for cell, count in zip(cells.tolist(), entries.tolist(), strict=True)
        ][:LISTED]


_NO_TRANSACTION = 2**63 - 1  # above every transaction id


def first_minute(mark: Mark) -> int:
    """The first cohort minute whose raw rows are all there: a cohort's rows arrive on its day or later."""
    return -(-mark.retained_from // DAY) * (DAY // MINUTE) + DAY // MINUTE if mark.retained_from else _EVER


async def _totals(connection: Any, model_no: int) -> Rows:
    """The sum of all days, by version and segment, as rows of the grain `TOTAL`."""
    total = _row((0, 0, 0), Sparse.empty())
    after = (_EVER, _EVER, _EVER)
    while found := await tables.vectors(connection, model_no, DAYS, after, TOTALS_AT_ONCE):
        total = add_up([total, *(_row((version, segment, 0), vector) for (version, segment, _), vector in found)])
        after = found[-1][0]
    filled = np.unique(total.sparse.cell)
    cell = np.searchsorted(filled, total.sparse.cell).astype(np.uint32)
    return Rows(tuple(column[filled] for column in total.keys), Sparse(cell, total.sparse.code, total.sparse.amount))


def _row(key: tuple[int, int, int], vector: Sparse) -> Rows:
    version, segment, cohort = key
    return Rows(tuple(np.array([number], np.int64) for number in (version, segment, TOTAL, cohort)), vector)


def _without_totals(rows: Rows) -> Rows:
    kept = rows.keys[2] != TOTAL
    target = np.where(kept, np.cumsum(kept) - 1, -1)
    return Rows(tuple(column[kept] for column in rows.keys), regroup(rows.sparse, target))


def _taken_back(ledger: Ledger) -> Ledger:
    return Ledger(ledger.cells, negate(ledger.sparse))


def _difference(stands: Sparse, counted: Sparse) -> Sparse:
    return merge_sparse([stands, negate(counted)])
