"""Workers do jobs: once, again after a failure, and no more than is wanted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import pytest

from app.core.errors import NotFound, Unavailable
from app.db.engine import Database
from app.jobs import repository
from app.jobs.job import Job, JobStatus, NewJob
from app.jobs.run import Run, Superseded
from app.jobs.runner import MAX_FAILURES, WATCHED_EVERY_S, Runner
from app.jobs.task import Task
from app.jobs.worker import Worker
from tests.support.jobs import QUICK, ended, enqueue, look, messages, until, working


class Work:
    """Tasks of the tests, and what they saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, float]] = []
        self.runs: list[Run] = []

    async def add(self, run: Run) -> Mapping[str, Any]:
        self.note(run)
        await run.progress(0.5, "adding", "half way")
        return {"sum": sum(run.job.arguments["numbers"])}

    async def fail(self, run: Run) -> Mapping[str, Any] | None:
        """As often as it is told to."""
        self.note(run)
        if run.job.attempt <= run.job.arguments["times"]:
            raise RuntimeError("a secret of the inside")
        return None

    async def refuse(self, run: Run) -> None:
        self.note(run)
        raise NotFound("there is no m7", model_id="m7")

    async def wait(self, run: Run) -> None:
        self.note(run)
        self.runs.append(run)
        await asyncio.sleep(60)

    def note(self, run: Run) -> None:
        self.seen.append((run.job.id, run.job.attempt, time.monotonic()))

    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name, getattr(self, name)) for name in ("add", "fail", "refuse", "wait"))


@pytest.fixture
def work() -> Work:
    return Work()


class TestDoing:
    async def test_writes_down_what_came_of_it(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            job = await ended(database, await enqueue(database, "add", numbers=[1, 2, 3]))
        assert (job.status, job.result, job.error, job.attempt) == (JobStatus.SUCCEEDED, {"sum": 6}, None, 1)
        assert (job.fraction, job.stage, job.message) == (1.0, "adding", "half way")
        assert job.started_at is not None
        assert job.finished_at is not None
        assert job.created_at <= job.started_at <= job.finished_at
        assert await messages(database) == 0

    async def test_begins_at_once(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            await asyncio.sleep(0.3)
            asked = time.monotonic()
            await ended(database, await enqueue(database, "add", numbers=[]))
        assert work.seen[0][2] - asked < 0.7  # polling alone would take a second

    async def test_keeps_to_its_concurrency(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks(), concurrency=2):
            jobs = [await enqueue(database, "wait") for _ in range(3)]
            await until(database, jobs[1], lambda job: job.status is JobStatus.RUNNING)
            await asyncio.sleep(0.3)
            assert (await look(database, jobs[2])).status is JobStatus.QUEUED


class TestFailing:
    async def test_is_tried_again_after_a_growing_pause(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks(), settings=QUICK.model_copy(update={"retry_wait_s": 0.2})):
            job = await ended(database, await enqueue(database, "fail", times=2))
        assert (job.status, job.attempt, job.failures, job.error) == (JobStatus.SUCCEEDED, 3, 2, None)
        first, second, third = (at for _, _, at in work.seen)
        assert second - first >= 0.2
        assert third - second >= 1.0

    async def test_is_given_up_at_the_third_time(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            job = await ended(database, await enqueue(database, "fail", times=99))
            await asyncio.sleep(0.3)
        assert (job.status, job.attempt) == (JobStatus.FAILED, MAX_FAILURES)
        assert job.error is not None
        assert (job.error["type"], job.error["status"]) == ("/problems/job-failed", 500)
        assert "secret" not in str(job.error)
        assert [attempt for _, attempt, _ in work.seen] == [1, 2, 3]

    async def test_is_not_tried_again_where_it_would_fail_the_same(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            job = await ended(database, await enqueue(database, "refuse"))
        assert (job.status, job.attempt) == (JobStatus.FAILED, 1)
        assert job.error is not None
        assert (job.error["type"], job.error["detail"], job.error["model_id"]) == (
            *("/problems/not-found", "there is no m7", "m7"),
        )

    async def test_of_an_unknown_kind_says_so(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            job = await until(database, await enqueue(database, "unheard"), lambda job: job.failures == 1)
        assert job.error is not None
        assert "unheard" in job.error["detail"]


class TestTheFence:
    """Who has lost a job can write nothing of it any more."""

    async def lost(self, database: Database) -> tuple[Run, Job]:
        """A run whose job another worker has since begun."""
        job_id = await enqueue(database, "add")
        async with database.transaction() as connection:
            first = await repository.claim(connection, job_id, 1, 1)
            assert first is not None
            await repository.again(connection, first, wait_s=0.0)
            second = await repository.claim(connection, job_id, 2, 2)
            assert second is not None
        return Run(database, first), second

    async def test_refuses_progress_of_an_earlier_attempt(self, database: Database) -> None:
        stale, now = await self.lost(database)
        with pytest.raises(Superseded):
            await stale.progress(0.9, "late")
        assert await look(database, now.id) == now

    async def effect(self, database: Database, write: Callable[[Any], Awaitable[object]]) -> None:
        async with database.transaction() as connection:
            await connection.execute("insert into erasure values (1, 1, '')")
            await write(connection)

    async def test_refuses_its_result_and_undoes_what_goes_with_it(self, database: Database) -> None:
        stale, now = await self.lost(database)
        count = partial(stale.count, rows=1)
        for write in (stale.hold, count, lambda connection: stale.finish(connection, {"late": True})):
            with pytest.raises(Superseded):
                await self.effect(database, write)
        async with database.connection() as connection:
            assert await connection.fetchval("select count(*) from erasure") == 0
        assert await look(database, now.id) == now

    async def test_lets_the_attempt_of_now_write(self, database: Database) -> None:
        _, now = await self.lost(database)
        run = Run(database, now)
        await run.progress(0.5, "on time")
        async with database.transaction() as connection:
            await run.hold(connection)
            await run.finish(connection, {"done": True})
        job = await look(database, now.id)
        assert (job.status, job.result, job.stage) == (JobStatus.SUCCEEDED, {"done": True}, "on time")

    async def test_does_not_begin_an_attempt_twice(self, database: Database, work: Work) -> None:
        job_id = await enqueue(database, "wait")
        async with database.transaction() as connection:
            assert await repository.claim(connection, job_id, 1, 1) is not None
            assert await repository.claim(connection, job_id, 1, 2) is None
            assert await repository.claim(connection, job_id, 2, 2) is None

    async def test_lets_the_message_of_an_earlier_attempt_pass(self, database: Database, work: Work) -> None:
        runner = Runner(database, work.tasks(), QUICK)
        job_id = await enqueue(database, "wait")
        doing = asyncio.ensure_future(runner.deliver(job_id, 1, 1))
        await until(database, job_id, lambda job: bool(work.seen))
        await runner.deliver(job_id, 1, 1)
        with pytest.raises(Unavailable):
            await runner.deliver(job_id, 2, 1)
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        assert len(work.seen) == 1

    async def test_stops_work_that_another_has_taken_over(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            job_id = await enqueue(database, "wait")
            job = await until(database, job_id, lambda job: job.status is JobStatus.RUNNING)
            async with database.transaction() as connection:
                other = await connection.fetchval("select worker_id from procrastinate_register_worker_v1()")
                await connection.execute("update procrastinate_workers set last_heartbeat = 'infinity'")
                await connection.execute("update job set attempt = 7, worker = $2 where id = $1", job_id, other)
            await asyncio.sleep(1.5)
            with pytest.raises(Superseded):
                await work.runs[0].progress(1.0, "late")
        assert (await look(database, job_id)).attempt == 7
        assert job.attempt == 1


class TestCancelling:
    async def test_stops_a_running_job(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            job_id = await enqueue(database, "wait")
            await until(database, job_id, lambda job: job.status is JobStatus.RUNNING)
            async with database.transaction() as connection:
                await repository.ask_to_end(connection, job_id)
            asked = time.monotonic()
            job = await ended(database, job_id)
        assert (job.status, job.attempt, job.error) == (JobStatus.CANCELLED, 1, None)
        assert time.monotonic() - asked < 3

    async def test_of_a_job_that_is_queued_again_keeps_it_from_beginning(self, database: Database, work: Work) -> None:
        job_id = await enqueue(database, "wait")
        async with database.transaction() as connection:
            job = await repository.claim(connection, job_id, 1, 1)
            assert job is not None
            await repository.ask_to_end(connection, job_id)
            await repository.again(connection, job, wait_s=0.0)
        async with working(database, *work.tasks()):
            assert (await ended(database, job_id)).status is JobStatus.CANCELLED
        assert work.seen == []


class TestTheEndOfAWorker:
    async def test_queues_again_what_it_can_not_finish(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            job_id = await enqueue(database, "wait")
            await until(database, job_id, lambda job: job.status is JobStatus.RUNNING)
            stopped = time.monotonic()
        assert time.monotonic() - stopped < QUICK.stop_grace_s + 3
        job = await look(database, job_id)
        assert (job.status, job.attempt, job.failures) == (JobStatus.QUEUED, 1, 0)
        async with working(database, *work.tasks()):
            job = await until(database, job_id, lambda job: job.status is JobStatus.RUNNING)
            assert job.attempt == 2

    async def test_lets_jobs_finish_within_the_grace(self, database: Database) -> None:
        async def nap(run: Run) -> None:
            await asyncio.sleep(0.5)

        async with working(database, Task("nap", nap), settings=QUICK.model_copy(update={"stop_grace_s": 5.0})):
            job_id = await enqueue(database, "nap")
            await until(database, job_id, lambda job: job.status is JobStatus.RUNNING)
        assert (await look(database, job_id)).status is JobStatus.SUCCEEDED


class TestTroubleOfAnyKind:
    """A table that is not there stands for whatever no one thought of: it is not among the ways to say "not now"."""

    async def test_is_outlived_by_who_watches_for_cancelled_jobs(self, database: Database, work: Work) -> None:
        async with working(database, *work.tasks()):
            job_id = await enqueue(database, "wait")
            await until(database, job_id, lambda job: job.status is JobStatus.RUNNING)
            await renamed(database, "job", "hidden")
            await asyncio.sleep(WATCHED_EVERY_S + 0.5)
            await renamed(database, "hidden", "job")
            async with database.transaction() as connection:
                await repository.ask_to_end(connection, job_id)
            assert (await ended(database, job_id)).status is JobStatus.CANCELLED

    async def test_is_outlived_by_a_worker_that_begins(self, database: Database, work: Work) -> None:
        stop, ready, running = await self.begun_in_trouble(database, work)
        await asyncio.sleep(0.5)
        assert not running.done()
        assert not ready.is_set()
        await renamed(database, "hidden", "job")
        await asyncio.wait_for(ready.wait(), 20)
        stop.set()
        await asyncio.wait_for(running, 20)

    async def test_does_not_keep_a_worker_that_shall_end(self, database: Database, work: Work) -> None:
        stop, ready, running = await self.begun_in_trouble(database, work)
        await asyncio.sleep(0.1)
        stop.set()
        await asyncio.wait_for(running, 20)
        assert not ready.is_set()

    async def begun_in_trouble(
        self, database: Database, work: Work
    ) -> tuple[asyncio.Event, asyncio.Event, "asyncio.Task[None]"]:
        """What ends the worker, what tells that it is ready, and the worker."""
        await renamed(database, "job", "hidden")
        stop, ready = asyncio.Event(), asyncio.Event()
        daily = Task("add", work.add, cron="0 0 * * *")
        return stop, ready, asyncio.create_task(Worker(database, [daily], QUICK, concurrency=1).run(stop, ready.set))


async def renamed(database: Database, table: str, name: str) -> None:
    async with database.connection() as connection:
        await connection.execute(f"alter table {table} rename to {name}")


class TestRescue:
    """By another worker, outside the queue."""

    @pytest.fixture
    def runner(self, database: Database, work: Work) -> Runner:
        return Runner(database, work.tasks(), QUICK)

    async def claimed(self, database: Database, worker: int) -> Job:
        """A job that a worker which is not there has begun, its message taken."""
        job_id = await enqueue(database, "add", numbers=[1])
        async with database.transaction() as connection:
            await connection.execute("update procrastinate_jobs set status = 'doing'")
            job = await repository.claim(connection, job_id, 1, worker)
        assert job is not None
        return job

    async def test_takes_up_jobs_of_lost_workers(self, database: Database, work: Work, runner: Runner) -> None:
        job = await self.claimed(database, worker=999)
        await runner.rescue()
        found = await look(database, job.id)
        assert (found.status, found.attempt, found.failures) == (JobStatus.QUEUED, 1, 1)
        async with working(database, *work.tasks()):
            done = await ended(database, job.id)
        assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 2)
        assert [attempt for _, attempt, _ in work.seen] == [2]
        assert await messages(database) == 0

    async def test_lets_them_go_before_those_that_were_never_begun(
        self, database: Database, work: Work, runner: Runner
    ) -> None:
        lost = await self.claimed(database, worker=999)
        waiting = [await enqueue(database, "add", numbers=[]) for _ in range(3)]
        await runner.rescue()
        async with working(database, *work.tasks(), concurrency=1):
            for job_id in waiting:
                await ended(database, job_id)
        assert [job_id for job_id, _, _ in work.seen] == [lost.id, *waiting]

    async def test_leaves_jobs_of_live_workers(self, database: Database, runner: Runner) -> None:
        async with database.connection() as connection:
            worker = await connection.fetchval("select worker_id from procrastinate_register_worker_v1()")
        job = await self.claimed(database, worker)
        async with database.connection() as connection:
            await connection.execute("update procrastinate_jobs set worker_id = $1", worker)
        assert await runner.rescue() == 0
        assert await look(database, job.id) == job

    async def test_gives_up_what_took_three_workers_with_it(self, database: Database, runner: Runner) -> None:
        job = await self.claimed(database, worker=999)
        async with database.connection() as connection:
            await connection.execute("update job set failures = 2")
        await runner.rescue()
        found = await look(database, job.id)
        assert found.status is JobStatus.FAILED
        assert found.error is not None
        assert found.error["type"] == "/problems/worker-lost"

    async def test_ends_a_job_that_was_cancelled_before_its_worker_was_lost(
        self, database: Database, runner: Runner
    ) -> None:
        job = await self.claimed(database, worker=999)
        async with database.transaction() as connection:
            await repository.ask_to_end(connection, job.id)
        await runner.rescue()
        assert (await look(database, job.id)).status is JobStatus.CANCELLED

    @pytest.mark.parametrize("gone", ["delete from {}", "update {} set status = 'doing'"], ids=["lost", "taken"])
    async def test_finds_queued_jobs_whose_message_was_lost(
        self, database: Database, work: Work, runner: Runner, gone: str
    ) -> None:
        job_id = await enqueue(database, "add", numbers=[2])
        async with database.connection() as connection:
            await connection.execute(gone.format("procrastinate_jobs"))
            await connection.execute("update job set due_at = now() - interval '1 hour'")
        assert await runner.rescue() == 1
        assert await runner.rescue() == 0
        async with working(database, *work.tasks()):
            assert (await ended(database, job_id)).result == {"sum": 2}


class TestPeriodicJobs:
    async def test_are_made_at_start_where_they_were_missed_and_when_due(self, database: Database) -> None:
        runs: list[int] = []

        third = asyncio.Event()

        async def tick(run: Run) -> None:
            runs.append(run.job.id)
            if len(runs) == 3:
                third.set()

        every_second = Task("tick", tick, cron="* * * * * *")
        async with working(database, every_second):
            await asyncio.wait_for(third.wait(), 15)
        assert len(runs) == len(set(runs))
        async with database.connection() as connection:
            kinds = await connection.fetch("select distinct kind, created_by, single from job")
        assert [tuple(row) for row in kinds] == [("tick", "schedule", "schedule tick")]

    async def test_do_not_overlap(self, database: Database, work: Work) -> None:
        every_second = Task("wait", work.wait, cron="* * * * * *")
        async with working(database, every_second):
            await asyncio.sleep(2.5)
        assert len(work.seen) == 1


class TestSingleJobs:
    async def test_may_come_again_while_the_next_attempt_waits(self, database: Database) -> None:
        new = NewJob("add", "test", {}, single="one")
        async with database.transaction() as connection:
            job = await repository.enqueue(connection, new)
            claimed = await repository.claim(connection, job.id, 1, 1)
            assert claimed is not None
            await repository.again(connection, claimed, wait_s=60.0, failures=1)
            assert (await repository.enqueue(connection, new)).id == job.id
