"""What is counted of jobs: every attempt once, by how it ended."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import REGISTRY

from app.auth.principal import Principal
from app.core.clock import SystemClock
from app.core.errors import NotFound
from app.db.engine import Database
from app.jobs import repository
from app.jobs.health import JobsHealth
from app.jobs.job import JobStatus
from app.jobs.observed import Outcome
from app.jobs.run import Run
from app.jobs.runner import Runner
from app.jobs.service import Jobs
from app.jobs.task import Task
from tests.support.jobs import QUICK, ended, enqueue, until, working

KIND = "observed"


async def work(run: Run) -> Mapping[str, Any] | None:
    match run.job.arguments["do"]:
        case "fail" if run.job.attempt == 1:
            raise RuntimeError
        case "refuse":
            raise NotFound("there is none")
        case "wait" if run.job.attempt == 1:
            await asyncio.sleep(60)
    return None


TASK = Task(KIND, work)


def counted() -> dict[str, float]:
    found = {outcome: REGISTRY.get_sample_value("assay_jobs_ended_total", labels(outcome)) for outcome in Outcome}
    found["started"] = REGISTRY.get_sample_value("assay_jobs_started_total", {"kind": KIND})
    found["timed"] = REGISTRY.get_sample_value("assay_job_duration_seconds_count", {"kind": KIND})
    found["rescued"] = REGISTRY.get_sample_value("assay_jobs_rescued_total")
    return {str(name): value or 0 for name, value in found.items()}


def labels(outcome: str) -> dict[str, str]:
    return {"kind": KIND, "outcome": outcome}


@pytest.fixture
def before() -> dict[str, float]:
    return counted()


def since(before: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in counted().items() if value != before[name]}


def anybody() -> Principal:
    return Principal("test", "user", frozenset({"system:read", "system:operate"}))


class TestAnAttempt:
    @pytest.mark.parametrize(
        ("does", "seen"),
        [
            ("nothing", {"succeeded": 1, "started": 1, "timed": 1}),
            ("fail", {"retried": 1, "succeeded": 1, "started": 2, "timed": 2}),
            ("refuse", {"failed": 1, "started": 1, "timed": 1}),
        ],
    )
    async def test_is_counted_by_how_it_ended(
        self, database: Database, before: dict[str, float], does: str, seen: dict[str, float]
    ) -> None:
        async with working(database, TASK):
            await ended(database, await enqueue(database, KIND, do=does))
        assert since(before) == seen

    async def test_that_is_cancelled(self, database: Database, before: dict[str, float]) -> None:
        jobs = Jobs(database, SystemClock())
        async with working(database, TASK):
            job = await until(
                database, await enqueue(database, KIND, do="wait"), lambda job: job.status is JobStatus.RUNNING
            )
            await jobs.cancel(job.id, principal=anybody())
            assert (await ended(database, job.id)).status is JobStatus.CANCELLED
        assert since(before) == {"cancelled": 1, "started": 1, "timed": 1}
        await jobs.cancel(await enqueue(database, KIND, do="nothing"), principal=anybody())  # before it began
        assert since(before) == {"cancelled": 2, "started": 1, "timed": 1}

    async def test_of_a_worker_that_ends_is_released(self, database: Database, before: dict[str, float]) -> None:
        async with working(database, TASK):
            job = await enqueue(database, KIND, do="wait")
            await until(database, job, lambda job: job.status is JobStatus.RUNNING)
        assert since(before) == {"released": 1, "started": 1, "timed": 1}

    async def test_of_a_worker_that_is_lost_is_counted_by_who_takes_it_up(
        self, database: Database, before: dict[str, float]
    ) -> None:
        job = await enqueue(database, KIND, do="nothing")
        async with database.transaction() as connection:
            await repository.claim(connection, job, 1, 4711)
        assert await Runner(database, [TASK], QUICK).rescue() == 1
        assert since(before) == {"retried": 1, "rescued": 1}

    @pytest.mark.parametrize(
        ("stands", "seen"),
        [
            ("failures = 0", {"retried": 1, "rescued": 1}),
            ("failures = 2", {"failed": 1}),  # given up
            ("cancel_requested = true", {"cancelled": 1}),
            ("status = 'queued', attempt = 0", {"rescued": 1}),  # lost with its message, before it began
            ("status = 'succeeded'", {}),  # lost before it let go of its message
        ],
    )
    async def test_is_taken_up_again_once_though_its_message_was_lost_too(
        self, database: Database, before: dict[str, float], stands: str, seen: dict[str, float]
    ) -> None:
        job = await enqueue(database, KIND, do="nothing")
        async with database.transaction() as connection:
            await connection.execute("update procrastinate_jobs set status = 'doing'")
            await repository.claim(connection, job, 1, 4711)
            await connection.execute(f"update job set {stands}")
        runner = Runner(database, [TASK], QUICK)
        assert await runner.rescue() == seen.get("rescued", 0)
        assert await runner.rescue() == 0
        assert since(before) == seen


class TestTheQueue:
    @pytest.mark.parametrize("who", ["worker", "server"])
    async def test_is_told_by_workers_and_by_servers(self, database: Database, who: str) -> None:
        await enqueue(database, KIND, do="nothing")
        async with database.transaction() as connection:
            await connection.execute("update job set due_at = due_at - interval '100 seconds'")
        if who == "server":
            (probe,) = JobsHealth(database, QUICK.stalled_s).health_probes()
            await probe.check()
        else:
            async with working(database) as worker:
                await worker._measure()
        assert REGISTRY.get_sample_value("assay_jobs_waiting", {"queue": "assay"}) == 1
        oldest = REGISTRY.get_sample_value("assay_oldest_waiting_job_seconds", {"queue": "assay"})
        assert oldest is not None
        assert 100 <= oldest < 130


def test_counts_begin_at_nothing(database: Database) -> None:
    """A series that begins at 1 has no increase, so nobody would be told of the first failure."""
    Runner(database, [Task("observed.new", work)], QUICK)
    for outcome in Outcome:
        assert REGISTRY.get_sample_value("assay_jobs_ended_total", {"kind": "observed.new", "outcome": outcome}) == 0
