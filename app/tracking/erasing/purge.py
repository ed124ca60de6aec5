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
        """How many blocks and keys this attempt took away."""
        await asyncio.sleep(STALE_S)  # until every process knows that the model is archived
        await settled(self._database)
        async with self._database.connection() as connection:
            total = await repository.blocks(connection, facts.id)
        blocks = keys = 0
        while True:
            gone = await self._blocks(run, facts)
            keys_gone = await self._keys(run, facts)
            if not gone and not keys_gone:
                break
            blocks, keys = blocks + gone, keys + keys_gone
            await run.progress(blocks / max(total, blocks, 1), "purging", f"{blocks} of {total} blocks")
        await run.progress(1.0, "statistics")
        async with self._database.transaction() as connection:
            await run.hold(connection)
            for work in (folding.LOCK, FEATURES):
                await folding.wait_for_lock(connection, facts.id, work)
            await repository.drop_statistics(connection, facts.id)
            await folding.announce(connection, facts.id)
        return {"blocks": blocks, "keys": keys}

    async def _blocks(self, run: Run, facts: ModelFacts) -> int:
        async with self._database.transaction() as connection:
            await run.hold(connection)
            return await repository.drop_blocks(connection, facts.id)

    async def _keys(self, run: Run, facts: ModelFacts) -> int:
        async with self._database.transaction() as connection:
            await run.hold(connection)
            return await repository.drop_model_keys(connection, facts.id, KEYS_AT_ONCE)
