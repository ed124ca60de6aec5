"""Purging a whole model: everything that was tracked of it goes, its entry in the registry stays.

Slice by slice, so that nobody waits long for locks; killed at any point, it goes on where it stopped. The model is
archived, so nothing new comes in once the requests under way have ended.
"""

import asyncio

from app.db.engine import Database
from app.jobs.run import Run
from app.models.catalogue import STALE_S
from app.models.facts import ModelFacts
from app.tracking.erasing import repository
from app.tracking.erasing.settling import settled
from app.tracking.repository import folding
from app.tracking.repository.features import LOCK as FEATURES

KEYS_AT_ONCE = 50_000


class Purger:
    """Does the job; `Purges` is where it is asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def model(self, run: Run, facts: ModelFacts) -> dict[str, int]:
        """How many blocks and keys all attempts of the job took away."""
        await asyncio.sleep(STALE_S)  # until every process knows that the model is archived
        await settled(self._database)
        async with self._database.connection() as connection:
            left = await repository.blocks(connection, facts.id)
        total = left + (run.job.result or {}).get("blocks", 0)  # with those of attempts before
        before, done = None, await self._slice(run, facts)
        while done != before:
            blocks = done["blocks"]
            await run.progress(blocks / max(total, blocks, 1), "purging", f"{blocks} of {total} blocks")
            before, done = done, await self._slice(run, facts)
        await run.progress(1.0, "statistics")
        async with self._database.transaction() as connection:
            await run.hold(connection)
            for work in (folding.LOCK, FEATURES):
                await folding.wait_for_lock(connection, facts.id, work)
            await repository.drop_statistics(connection, facts.id)
            await folding.announce(connection, facts.id)
        return done

    async def _slice(self, run: Run, facts: ModelFacts) -> dict[str, int]:
        """Some blocks and some keys; how many the job took away by then: as before where there are no more."""
        async with self._database.transaction() as connection:
            await run.hold(connection)
            await run.count(connection, blocks=await repository.drop_blocks(connection, facts.id))
        async with self._database.transaction() as connection:
            await run.hold(connection)
            return await run.count(
                connection, keys=await repository.drop_model_keys(connection, facts.id, KEYS_AT_ONCE)
            )
