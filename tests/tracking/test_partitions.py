"""A new partition takes rows over from the default one without hiding them from anybody for a moment."""

import asyncio

from app.core.clock import DAY, FrozenClock, to_datetime
from app.db.engine import Database
from app.tracking.repository.partitions import create
from tests.support.models import make_model


class TestANewPartition:
    async def test_hides_no_row_from_a_query_that_waited_for_it(self, database: Database, clock: FrozenClock) -> None:
        """The query is planned while the rows move and runs when they have moved."""
        facts = await make_model(database)
        now_us = clock.now_us()
        async with database.transaction() as writer:
            await writer.execute(
                "insert into delta (model_no, kind, known_at, body) values ($1, 0, $2, 'x')",
                *(facts.id, to_datetime(now_us)),
            )
        async with database.connection() as reader:
            async with database.transaction() as mover:
                low, high = (f"'{to_datetime(now_us // DAY * DAY + days * DAY)}'" for days in (0, 1))
                await create(mover, "delta", "delta_moved", "known_at", low, high)
                waiting = asyncio.create_task(reader.fetchval("select count(*) from delta"))
                await asyncio.sleep(0.2)
                assert not waiting.done()
            assert await waiting == 1
