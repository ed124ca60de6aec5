"""What a purge says it did: the proof of an erasure, whatever happened to the job meanwhile."""

import asyncio

import pytest

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.jobs import repository as jobs
from app.jobs.run import Run
from tests.support.jobs import look
from tests.support.tracking import rows_of
from tests.tracking.test_erasing import House, build, names


@pytest.fixture
async def house(database: Database, clock: FrozenClock) -> House:
    return await build(database, clock, "binary")


class TestOfAJobThatLostItsWorker:
    async def stopped(self, house: House, run: Run) -> int:
        """How many of ada's twenty rows are gone by the time its worker is."""
        erasing = asyncio.ensure_future(house.erase("ada", run=run))
        while await rows_of(house.database, "subject") > 34:  # noqa: ASYNC110  the database is asked
            await asyncio.sleep(0.001)
        erasing.cancel()
        await asyncio.gather(erasing, return_exceptions=True)
        return 40 - await rows_of(house.database, "subject")

    async def again(self, house: House, run: Run, *, failures: int = 1) -> Run:
        async with house.database.transaction() as connection:
            await jobs.again(connection, run.job, wait_s=0.0, failures=failures)
            job = await jobs.claim(connection, run.job.id, 2, 1)
        assert job is not None
        return Run(house.database, job)

    @pytest.mark.parametrize("failures", [1, 0], ids=["killed", "told to end"])
    async def test_counts_what_every_attempt_erased(self, house: House, failures: int) -> None:
        await house.traffic(names(40, 2))
        first = await house.run()
        gone = await self.stopped(house, first)
        assert 5 < gone < 20
        second = await self.again(house, first, failures=failures)
        assert second.job.result == {"rows": gone}
        assert await house.erase("ada", run=second) == {"rows": 20, "late_labels": 0}
        told = await look(house.database, second.job.id)
        assert (told.message, told.result) == ("", {"rows": 20, "late_labels": 0})

    async def test_says_it_where_the_job_is_cancelled_then(self, house: House) -> None:
        await house.traffic(names(40, 2))
        run = await house.run()
        gone = await self.stopped(house, run)
        async with house.database.transaction() as connection:
            assert await jobs.cancelled(connection, run.job)
        assert (await look(house.database, run.job.id)).result == {"rows": gone}
