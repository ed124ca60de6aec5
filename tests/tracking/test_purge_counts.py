"""What a purge says it did: the proof of an erasure, whatever happened to the job meanwhile."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.jobs import repository as jobs
from app.jobs.run import Run
from app.models.catalogue import Catalogue
from app.tracking.rollups.upkeep import Upkeep
from app.tracking.tasks import tasks
from tests.support.jobs import ended, look, working
from tests.support.tracking import label, rows_of, send
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


class TestOfAJobByIdsThatIsCancelled:
    @pytest.fixture
    async def cancelled(self, house: House, admin: httpx.AsyncClient) -> httpx.Response:
        """Of ids with a prediction, with a label that waits, and with nothing; no worker was there."""
        await send(house.service, *(house.row(name, subject) for name, subject in names(10, 2).items()))
        await label(house.service, *({"prediction_id": name, "actual": "1"} for name in ("w0", "w1")))
        asked = await admin.post("/models/m1/purge", json={"prediction_ids": ["w0", "w1", "zz", "p001"]})
        return await admin.delete(f"/jobs/{asked.json()['job_id']}")

    async def test_says_what_its_request_took_away(self, house: House, cancelled: httpx.Response) -> None:
        assert await rows_of(house.database, "label_waiting") == 0
        job = cancelled.json()
        assert (job["status"], job["result"]) == ("cancelled", {"rows": 0, "waiting_labels": 2, "unknown": 1})
        assert (await house.service.prediction("m1", "p001")).prediction_id == "p001"

    async def test_leaves_places_that_go_with_their_rows_when_these_are_erased(
        self, house: House, cancelled: httpx.Response
    ) -> None:
        assert await rows_of(house.database, "subject") == 11  # one of them is drawn
        assert (await house.erase("s1"))["rows"] == len([one for one in names(10, 2).values() if one == "s1"])
        async with house.database.connection() as connection:
            named = "select count(*) from subject s where not exists (select from prediction p where p.place = s.place)"
            assert await connection.fetchval(named) == 0
        assert await house.differences() == []

    async def test_leaves_places_that_go_with_their_rows_when_these_are_past_retention(
        self, house: House, cancelled: httpx.Response
    ) -> None:
        house.clock.advance(seconds=732 * 86_400)
        await Upkeep(house.database, house.clock, Catalogue(house.database, 730)).once()
        assert await rows_of(house.database, "subject") == 0


class TestOfTwoJobsForTheSameIds:
    @pytest.mark.parametrize("concurrency", [1, 2])
    async def test_of_each_id_one_is_true_in_both_and_rows_are_counted_once(
        self, house: House, admin: httpx.AsyncClient, concurrency: int
    ) -> None:
        await send(house.service, *(house.row(name, None) for name in names(30, 2)))
        await label(house.service, {"prediction_id": "w0", "actual": "1"})
        ids = [*names(30, 2), "w0", "zz"]
        asked = [await admin.post("/models/m1/purge", json={"prediction_ids": ids}) for _ in range(3)]
        async with working(
            house.database,
            *(replace(task, cron=None) for task in tasks(house.database, house.clock, Catalogue(house.database, 730))),
            concurrency=concurrency,
        ):
            results = [(await ended(house.database, int(job.json()["job_id"]))).result for job in asked]
        assert [sum(result.values()) for result in results] == [32, 32, 32]
        assert [sum(result[name] for result in results) for name in ("rows", "waiting_labels")] == [30, 1]
        assert await house.differences() == []
