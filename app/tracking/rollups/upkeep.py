"""Upkeep: partitions for the days to come, and the end of what is past its time.

Safe to repeat and to interrupt at any point; any number of processes may run it, one at a time does. What a model's
retention ends is first declared gone (`retained_from`: as-of tails and rebuilds stop using it), then its keys go in
slices, then blocks and labels: whole days where no other model needs them. Rollups stay.
"""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from app.core import telemetry
from app.core.clock import DAY, MINUTE, Clock, from_datetime, rfc3339, to_datetime
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.tracking.arrival import day_of, first_block, first_place
from app.tracking.repository import folding
from app.tracking.repository import partitions as tables
from app.tracking.rollups.grains import minute_floor

logger = logging.getLogger(__name__)

DAYS_AHEAD = 7  # a job that slept a week finds the default partitions empty
MONTHS_AHEAD = 2
DELTAS_LIVE_DAYS = 3
ALL = 0  # model number of the lock under which upkeep as a whole runs


class Upkeep:
    """Call `once` from a job."""

    def __init__(self, database: Database, clock: Clock, catalogue: Catalogue) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue

    async def once(self) -> dict[str, int]:
        """All of it, if no other process is at it; by model, how many labels had waited in vain."""
        expired: dict[str, int] = {}
        async with self._alone() as alone:
            if alone:
                await self.make_ahead()
                await self.drop_deltas()
                models = await self._catalogue.all()
                for facts in models:
                    if gone := await self.retain(facts):
                        expired[facts.model_id] = gone
                await self.drop_days(models)
                for facts in models:
                    await self.drop_rest(facts)
        return expired

    async def make_ahead(self) -> None:
        """Partitions of `block`, `label` and `delta` by day, of `triangle` by month."""
        now_us = self._clock.now_us()
        wanted = [*_daily(now_us), *_monthly(now_us)]
        for table, name, column, low, high in wanted:
            async with self._database.transaction() as connection:
                if name not in await tables.names(connection, table):
                    await tables.create(connection, table, name, column, low, high)

    async def drop_deltas(self) -> None:
        """Days of deltas that are old and folded."""
        border = (self._clock.now_us() // DAY - DELTAS_LIVE_DAYS) * DAY
        async with self._database.transaction() as connection:
            await tables.drop_folded_deltas(connection, border)
            old = tables.older(await tables.names(connection, "delta"), "delta", day_of(border))
        for name in old:
            async with self._database.transaction() as connection:
                if not await tables.unfolded_in(connection, name):
                    await tables.drop(connection, name)

    async def retain(self, facts: ModelFacts) -> int:
        """Ends what is past one model's retention: waiting labels (how many), keys; and its old minute rows."""
        now_us = self._clock.now_us()
        border = retained_from(facts, now_us)
        async with self._database.transaction() as connection:
            await folding.wait_for_lock(connection, facts.id)
            await tables.drop_minutes(connection, facts.id, minute_floor(now_us))
            expired = await tables.drop_waiting(connection, facts.id, border)
            past = await tables.has_raw_before(connection, facts.id, border)
            mark = await folding.mark(connection, facts.id)
            if past and border > mark.retained_from:
                await folding.set_mark(connection, facts.id, replace(mark, retained_from=border))
        if expired:
            telemetry.EXPIRED_LABELS.labels(telemetry.model_label(facts.model_id)).inc(expired)
            logger.warning("%s: %d labels waited in vain, their predictions never came", facts.model_id, expired)
        while past:
            async with self._database.transaction() as connection:
                past = await tables.drop_keys(connection, facts.id, border) == tables.KEYS_AT_ONCE
        return expired

    async def drop_rest(self, facts: ModelFacts) -> None:
        """What the model leaves in days that other models still need."""
        border = retained_from(facts, self._clock.now_us())
        async with self._database.transaction() as connection:
            await tables.drop_raw(connection, facts.id, border)

    async def drop_days(self, models: Iterable[ModelFacts]) -> None:
        """Days of blocks and labels that no model retains."""
        now_us = self._clock.now_us()
        border = min((retained_from(facts, now_us) for facts in models), default=0)
        for table in ("label", "block"):
            async with self._database.transaction() as connection:
                old = tables.older(await tables.names(connection, table), table, day_of(border)) if border else []
            for name in old:
                async with self._database.transaction() as connection:
                    await tables.drop(connection, name)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        async with self._database.transaction() as connection:
            yield await folding.lock(connection, ALL)


def retained_from(facts: ModelFacts, now_us: int) -> int:
    """The first moment (start of a day, us) whose arrivals a model keeps."""
    return (now_us // DAY - facts.retention_days) * DAY


def _daily(now_us: int) -> list[tuple[str, str, str, str, str]]:
    """(table, partition, column, low, high) of the days to come, today first."""
    wanted = []
    for day in range(now_us // DAY * DAY, now_us + DAYS_AHEAD * DAY, DAY):
        end, suffix = day + DAY, day_of(day)
        wanted += [
            ("block", f"block_{suffix}", "block_id", str(first_block(day)), str(first_block(end))),
            ("label", f"label_{suffix}", "place", str(first_place(day)), str(first_place(end))),
            ("delta", f"delta_{suffix}", "known_at", f"'{rfc3339(day)}'", f"'{rfc3339(end)}'"),
        ]
    return wanted


def _monthly(now_us: int) -> list[tuple[str, str, str, str, str]]:
    now = to_datetime(now_us)
    months = [divmod(now.year * 12 + now.month - 1 + ahead, 12) for ahead in range(MONTHS_AHEAD + 2)]
    starts = [datetime(year, month + 1, 1, tzinfo=UTC) for year, month in months]
    minutes = [from_datetime(start) // MINUTE for start in starts]
    return [
        ("triangle", f"triangle_{start:%Y%m}", "cohort", str(low), str(high))
        for start, low, high in zip(starts, minutes, minutes[1:], strict=False)
    ]
