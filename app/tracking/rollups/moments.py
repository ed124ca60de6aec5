"""What was known at a moment: whole hours of arrival from the triangle, and the moment's own hour from raw rows.

The shorter side of that hour is counted: what came from its begin to the moment is added, or what came after the moment
is taken back from the whole hour. So a moment just gone by costs no more than a whole hour, whatever came in it, and
any other costs at most half an hour's rows.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from app.core.clock import HOUR, MINUTE, Clock
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.stats.tally import Shape
from app.tracking.ledger import Ledger, merge, negative
from app.tracking.repository import erasures, folding, raw
from app.tracking.rollups.grains import known_between
from app.tracking.rollups.horizon import Horizon
from app.tracking.rollups.recount import count_blocks, count_labels

SLICE_US = 10 * MINUTE  # raw rows are counted in slices, so that an hour of any size fits in memory


@dataclass(frozen=True, slots=True)
class Moment:
    """All that arrived before `hour` (since the epoch), and `rest`, is what was known at `us`."""

    us: int
    hour: int
    rest: Ledger  # to add, with its signs


class Moments:
    """Moments of one process; `at` is asked in the snapshot that the hours are read in."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._horizon = Horizon(database, clock)
        self._clock = clock

    async def settle(self, as_of_us: int) -> int:
        """The moment that is answered for: not after the horizon, so that the answer stays."""
        return await self._horizon.settle(as_of_us)

    async def at(self, connection: object, facts: ModelFacts, us: int) -> Moment:
        """Where retention dropped the raw rows of the moment's hour: the last moment before that hour."""
        hour = (us + 1) // HOUR
        start, last = hour * HOUR, (hour + 1) * HOUR - 1
        if start < (await folding.mark(connection, facts.id)).retained_from:
            return Moment(start - 1, hour, Ledger.empty())
        now = min(max(self._clock.now_us(), us), last)
        minute = (us + 1) // MINUTE  # of rows that were erased since, whole minutes are known
        if now - us < us - start:
            later = await self._counted(connection, facts, [*_slices(us + 1, now), (now + 1, last)])
            erased = await self._erased(connection, facts, hour, minute, (hour + 1) * 60)
            return Moment(us, hour + 1, negative(merge([later, erased])))
        earlier = await self._counted(connection, facts, _slices(start, us))
        return Moment(us, hour, merge([earlier, await self._erased(connection, facts, hour, hour * 60, minute)]))

    async def _erased(self, connection: object, facts: ModelFacts, hour: int, minute: int, end: int) -> Ledger:
        """What became known, or was taken back, of erased rows in [minute, end) of an hour."""
        return known_between(await erasures.ledger(connection, facts.id, hour), minute, end)

    async def _counted(self, connection: object, facts: ModelFacts, slices: Iterable[tuple[int, int]]) -> Ledger:
        """What became known in some slices of time, of the raw rows that are there."""
        counted = Ledger.empty()
        for start, end in slices:
            blocks = await raw.blocks_known_between(connection, facts.id, start, end)
            labels = await raw.labels_known_between(connection, facts.id, start, end)
            if blocks or len(labels):
                part = await asyncio.to_thread(_recount, facts.shape, blocks, labels, start, end)
                counted = merge([counted, part])
        return counted


def _recount(shape: Shape, blocks: Iterable[raw.StoredBlock], labels: raw.StoredLabels, start: int, end: int) -> Ledger:
    counted = count_blocks(shape, blocks, lambda known_at: (known_at >= start) & (known_at <= end))
    return merge([counted, count_labels(shape, labels)])


def _slices(start: int, end: int) -> Iterable[tuple[int, int]]:
    """[start, end] in slices, both ends included; none where end is before start."""
    for low in range(start, end + 1, SLICE_US):
        yield low, min(low + SLICE_US - 1, end)
