"""What comes due by itself while the database is away is done when it is back, by the same worker."""

import asyncio

from app.core.settings import DatabaseSettings
from app.db.engine import Database
from app.jobs.run import Run
from app.jobs.task import Every, Task
from tests.support.jobs import PATIENCE_S, working
from tests.support.proxy import proxied

EVERY_S = 1.0
SUCCEEDED = "select count(*) from job where status = 'succeeded'"


async def nothing(run: Run) -> None:
    return None


# The queue's library makes up for ten minutes by itself; the date of this one is further away.
YEARLY = Task("nothing", nothing, every=Every("0 0 1 1 *", EVERY_S))


async def done(database: Database, times: int) -> None:
    async with asyncio.timeout(PATIENCE_S), database.connection() as connection:
        while await connection.fetchval(SUCCEEDED) < times:  # noqa: ASYNC110  the database is asked
            await asyncio.sleep(0.02)


async def test_is_made_up_for_each_time(database: Database) -> None:
    async with proxied(database.url) as proxy:
        there = Database(proxy.url, DatabaseSettings(pool_size=4, hot_pool_size=6))
        await there.open()
        async with working(there, YEARLY):
            await done(database, 1)
            for times in (2, 3):
                await proxy.cut()
                await asyncio.sleep(EVERY_S)
                await proxy.start()
                await done(database, times)
        await there.close()
