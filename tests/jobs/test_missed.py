"""What comes due by itself while the database is away is done when it is back, by the same worker."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.core.settings import DatabaseSettings
from app.db.engine import Database
from app.jobs.run import Run
from app.jobs.task import Task
from tests.support.jobs import PATIENCE_S, working
from tests.support.proxy import proxied

SUCCEEDED = "select count(*) from job where status = 'succeeded'"
MOMENT = timedelta(seconds=1)


async def nothing(run: Run) -> None:
    return None


# The queue's library makes up for ten minutes by itself; the date of this one is further away.
YEARLY = Task("nothing", nothing, cron="0 0 1 1 *")
LAST_DUE = datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)


async def done(database: Database, times: int) -> None:
    async with asyncio.timeout(PATIENCE_S), database.connection() as connection:
        while await connection.fetchval(SUCCEEDED) < times:  # noqa: ASYNC110  the database is asked
            await asyncio.sleep(0.02)


async def last_made(database: Database, moment: datetime) -> None:
    async with database.connection() as connection:
        await connection.execute("update job set created_at = $1", moment)


async def test_is_made_up_for_each_time(database: Database) -> None:
    async with proxied(database.url) as proxy:
        there = Database(proxy.url, DatabaseSettings(pool_size=4, hot_pool_size=6))
        await there.open()
        async with working(there, YEARLY):
            await done(database, 1)
            for times in (2, 3):
                await proxy.cut()
                await last_made(database, LAST_DUE - MOMENT)
                await proxy.start()
                await done(database, times)
        await there.close()


@pytest.mark.parametrize(("made", "times"), [(LAST_DUE - MOMENT, 2), (LAST_DUE + MOMENT, 1)], ids=["missed", "made"])
async def test_counts_since_the_last_time_that_it_was_due(database: Database, made: datetime, times: int) -> None:
    """And not by its age: what was made up late for one time says nothing of the next."""
    async with working(database, YEARLY):
        await done(database, 1)
    await last_made(database, made)
    async with working(database, YEARLY):
        await done(database, times)
    async with database.connection() as connection:
        assert await connection.fetchval("select count(*) from job") == times
