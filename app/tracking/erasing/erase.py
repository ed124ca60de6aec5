"""Erasing subjects, slice by slice, each in one transaction: killed at any point, it goes on where it stopped.

A slice takes the rows' keys, labels and subjects away, rewrites their blocks with the rows blanked, and appends a delta
that takes back what they counted. A keyed hash of each key stays, so that a retry is refused. As of a moment before the
erasure, the anonymous counts stand as they were known: the slice notes them for whoever counts raw rows again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import MINUTE, Clock
from app.db.engine import Database
from app.jobs.run import Run
from app.models.facts import ModelFacts
from app.stats.sparse import regroup
from app.tracking import block as blocks
from app.tracking.arrival import split
from app.tracking.block import Block
from app.tracking.digests import key_digest
from app.tracking.erasing import repository
from app.tracking.erasing.settling import settled
from app.tracking.ledger import Ledger, merge, negative, pack
from app.tracking.repository import arrivals, raw
from app.tracking.repository.predictions import subject_secret
from app.tracking.repository.races import repeated
from app.tracking.repository.raw import StoredBlock, StoredLabels
from app.tracking.rollups.features import Features
from app.tracking.rollups.grains import known_between
from app.tracking.rollups.recount import count_blocks, count_labels
from app.tracking.storing.keys import encode
from app.tracking.storing.prepare import take_text

ROWS_AT_ONCE = 5000
BLOCKS_AT_ONCE = 16  # each is read and written whole: some megabytes with many features


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A block before it is rewritten, and its rows to erase."""

    stored: StoredBlock
    rows: NDArray[np.intp]

    @property
    def rest(self) -> Block:
        return blocks.blanked(self.stored.block, self.rows)

    @property
    def erased(self) -> StoredBlock:
        """The block as if it held only the rows to erase."""
        others = np.setdiff1d(np.arange(len(self.stored.block)), self.rows)
        return replace(self.stored, block=blocks.blanked(self.stored.block, others))


class Eraser:
    """Does the job; `Purges` is where it is asked for."""

    def __init__(
        self, database: Database, clock: Clock, features: Features, *, rows_at_once: int = ROWS_AT_ONCE
    ) -> None:
        self._database = database
        self._clock = clock
        self._features = features
        self._rows_at_once = rows_at_once

    async def subjects(self, run: Run, facts: ModelFacts, subjects: Sequence[bytes]) -> dict[str, int]:
        """Erases all rows of these subjects (digests) that are stored; what all attempts of the job did."""
        async with self._database.connection() as connection:
            left = await repository.count(connection, facts.id, subjects)
        total = left + (run.job.result or {}).get("rows", 0)  # with those of attempts before
        while (done := await repeated(lambda: self._slice(run, facts, subjects))) is not None:
            await run.progress(done / max(total, done, 1), "erasing", f"{done} of {total} rows")
        await run.progress(1.0, "settling")
        return await self._settle(run, facts)

    async def _slice(self, run: Run, facts: ModelFacts, subjects: Sequence[bytes]) -> int | None:
        """How many rows the job has erased by then; None where there are no more."""
        async with self._database.transaction() as connection:
            await run.hold(connection)
            places = _of_few_blocks(await repository.places(connection, facts.id, subjects, self._rows_at_once))
            if not places:
                return None
            erased = await self._erase(connection, facts, places)
            return (await run.count(connection, rows=erased))["rows"]

    async def _erase(self, connection: Any, facts: ModelFacts, places: Sequence[int]) -> int:
        """How many rows; places whose row went meanwhile, by another job or by retention, have none."""
        by_block: dict[int, list[int]] = {}
        for place in places:
            block_id, row = split(place)
            by_block.setdefault(block_id, []).append(row)
        found = await raw.blocks_to_rewrite(connection, list(by_block))
        slices = [Slice(stored, np.array(by_block[stored.block_id], np.intp)) for stored in found]
        keys, key_places = await asyncio.to_thread(_keys, facts.id, slices)
        erased = await repository.drop_keys(connection, keys, key_places)
        labels = await raw.take_labels(connection, places)
        for one in slices:
            body = await asyncio.to_thread(blocks.pack, one.rest)
            await repository.rewrite(connection, one.stored.block_id, body)
        secret = await subject_secret(connection)
        digests = [key_digest(secret, key) for key in keys]
        await repository.remember(connection, facts.id, digests, key_places)
        await repository.forget(connection, facts.id, places)
        gone = [one.erased for one in slices]
        await self._features.take_back(connection, facts.id, gone)
        counted = await asyncio.to_thread(_counted, facts, gone, labels)
        await self._take_back(connection, facts, counted)
        return erased

    async def _take_back(self, connection: Any, facts: ModelFacts, counted: Ledger) -> None:
        """From now on it counts no more; what is known of before stands."""
        arrival = await arrivals.arrive(connection, self._clock)
        back = _taken_back(counted, arrival.us)
        await repository.note(connection, facts.id, await asyncio.to_thread(_by_hour, merge([counted, back])))
        await arrivals.add_delta(connection, arrival, facts.id, kind=arrivals.ERASED, body=pack(back))

    async def _settle(self, run: Run, facts: ModelFacts) -> dict[str, int]:
        """Labels that came while their prediction was erased: once whoever had found it has ended, they go too.

        What the job has done by then.
        """
        await settled(self._database)
        async with self._database.transaction() as connection:
            await run.hold(connection)
            late = await repository.late_labels(connection, facts.id)
            if late:
                labels = await raw.take_labels(connection, late)
                await self._take_back(connection, facts, await asyncio.to_thread(_counted, facts, [], labels))
            return await run.count(connection, rows=0, late_labels=len(late))


def _of_few_blocks(places: Sequence[int]) -> list[int]:
    """The first places, as far as they lie in so many blocks."""
    blocks_of = sorted({split(place)[0] for place in places})[:BLOCKS_AT_ONCE]
    return [place for place in places if split(place)[0] <= blocks_of[-1]]


def _by_hour(ledger: Ledger) -> dict[int, bytes]:
    """Packed, by the hour in which it became known."""
    hours = np.unique(ledger.cells["known"] // 60).tolist()
    return {hour: pack(known_between(ledger, hour * 60, (hour + 1) * 60)) for hour in hours}


def _keys(model_no: int, slices: Sequence[Slice]) -> tuple[list[bytes], list[int]]:
    """The keys of the rows with their places, in key order."""
    found: list[tuple[bytes, int]] = []
    for one in slices:
        keys = encode(model_no, take_text(one.stored.block.ids, one.rows))
        places = (one.stored.block_id << 16) + one.rows[keys.rows]
        found += zip(keys.tolist(), places.tolist(), strict=True)
    found.sort(key=lambda each: (len(each[0]), each[0]))
    return [key for key, _ in found], [place for _, place in found]


def _counted(facts: ModelFacts, gone: Sequence[StoredBlock], labels: StoredLabels) -> Ledger:
    return merge([count_blocks(facts.shape, gone), count_labels(facts.shape, labels)])


def _taken_back(counted: Ledger, now_us: int) -> Ledger:
    """The opposite, known now. Delays stay what they were: they are codes, not cells."""
    cells = counted.cells
    moved, place = Ledger.of(cells["context"], cells["cohort"], np.full(len(cells), now_us // MINUTE))
    return Ledger(moved, regroup(negative(counted).sparse, place))
