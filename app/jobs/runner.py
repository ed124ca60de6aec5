"""Doing jobs: one attempt at a time is claimed, run, and its end written; lost ones are taken up again.

Knows no queue: `app.jobs.worker` brings the messages. Whatever happens to a message, the job's row decides: an attempt
that is not the next one is not begun, and one that is not the current one writes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from opentelemetry.trace import Tracer

from app.core.errors import Problem, Unavailable
from app.core.settings import JobsSettings
from app.core.spans import NO_TRACER
from app.core.telemetry import JOBS_RESCUED
from app.db.engine import Database
from app.jobs import repository
from app.jobs.errors import JobFailed, WorkerLost, as_problem
from app.jobs.job import Job, JobStatus
from app.jobs.observed import Outcome, announce, attempted, ended
from app.jobs.run import Run, Superseded
from app.jobs.task import Task

logger = logging.getLogger(__name__)

MAX_FAILURES = 3  # whether it raised or its worker died: the third time it is given up
BACK_OFF = 5.0  # each wait is so many times the one before
WATCHED_EVERY_S = 1.0  # how soon a cancelled job is stopped
PATIENCE_S = 1.0  # between two tries to write down how a job ended while the database is away
CLIENT_ERRORS = range(400, 500)  # such a problem is the same however often it is tried

Result = TypeVar("Result")


@dataclass(slots=True)
class UnderWay:
    """A job that this process does; `stopped`: its end was asked for by a person or another attempt."""

    attempt: int
    work: "asyncio.Future[Any]"
    stopped: bool = False


async def patiently(work: Callable[[], Awaitable[Result]]) -> Result:
    """`work()`, however long the database is away."""
    while True:
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(PATIENCE_S)


class Runner:
    """One per worker process."""

    def __init__(
        self, database: Database, tasks: Iterable[Task], settings: JobsSettings, tracer: Tracer = NO_TRACER
    ) -> None:
        self._database = database
        self._tasks = {task.kind: task for task in tasks}
        self._settings = settings
        self._tracer = tracer
        announce(self._tasks)
        self._workers: set[int] = set()  # ids under which this process has taken messages
        self._taken: set[int] = set()  # jobs of messages that are being worked on
        self._under_way: dict[int, UnderWay] = {}

    async def deliver(self, job_id: int, attempt: int, worker: int) -> None:
        """Does an attempt and writes down how it ended; one that is not due is left alone."""
        entry = self._under_way.get(job_id)
        if entry is not None and attempt <= entry.attempt:
            return  # the message of an attempt that is past
        if job_id in self._taken:  # an attempt of before is at its end here; the message comes again
            raise Unavailable(f"job {job_id} is still at work in this process")
        self._taken.add(job_id)
        self._workers.add(worker)
        try:
            job = await patiently(partial(self._claim, job_id, attempt, worker))
            if job is not None:
                with attempted(job, self._tracer) as seen:
                    seen.outcome = await self._do(job)
        finally:
            self._taken.discard(job_id)

    async def _claim(self, job_id: int, attempt: int, worker: int) -> Job | None:
        async with self._database.transaction() as connection:
            return await repository.claim(connection, job_id, attempt, worker)

    async def _do(self, job: Job) -> Outcome:
        if job.cancel_requested:  # asked for while it waited for another attempt
            return await self._cancelled(job)
        run = Run(self._database, job)
        entry = UnderWay(job.attempt, asyncio.ensure_future(self._work(run)))
        self._under_way[job.id] = entry
        try:
            result = await entry.work
            if run.finished:
                return Outcome.SUCCEEDED
            return await self._end(
                job, Outcome.SUCCEEDED, lambda connection: repository.succeed(connection, job, result or {})
            )
        except Superseded:
            logger.warning("job %d: attempt %d was overtaken and wrote nothing more", job.id, job.attempt)
            return Outcome.SUPERSEDED
        except asyncio.CancelledError:
            if not entry.stopped:  # this process ends
                await self._hand_over(job)
                raise
            return await self._cancelled(job)
        except Exception as error:
            logger.exception("job %d (%s): attempt %d failed", job.id, job.kind, job.attempt)
            # stopped work may end by an error of its own
            return await (self._cancelled(job) if entry.stopped else self._failed(job, error))
        finally:
            self._under_way.pop(job.id, None)

    async def _work(self, run: Run) -> Any:
        task = self._tasks.get(run.job.kind)
        if task is None:
            raise JobFailed(f"this worker knows no jobs of the kind {run.job.kind}")
        return await task.work(run)

    async def _failed(self, job: Job, error: Exception) -> Outcome:
        """Queued again after a growing pause, or given up."""
        problem = as_problem(error)
        hopeless = isinstance(error, Problem) and error.status in CLIENT_ERRORS
        if hopeless or job.failures + 1 >= MAX_FAILURES:
            return await self._end(job, Outcome.FAILED, lambda connection: repository.fail(connection, job, problem))
        wait_s = self._settings.retry_wait_s * BACK_OFF**job.failures
        again = partial(repository.again, job=job, wait_s=wait_s, error=problem, failures=1)
        return await self._end(job, Outcome.RETRIED, again)

    async def _cancelled(self, job: Job) -> Outcome:
        return await self._end(job, Outcome.CANCELLED, lambda connection: repository.cancelled(connection, job))

    async def _hand_over(self, job: Job) -> None:
        """Another worker goes on at once; where the database is away now, once this one has been silent long enough."""
        with suppress(Unavailable):
            async with self._database.transaction() as connection:
                await repository.again(connection, job, wait_s=0.0)

    async def _end(self, job: Job, outcome: Outcome, write: Callable[[Any], Awaitable[bool]]) -> Outcome:
        """Writes the end; where the job is another's by then there is none."""

        async def written() -> bool:
            async with self._database.transaction() as connection:
                return await write(connection)

        if await patiently(written):
            return outcome
        logger.warning("job %d: attempt %d was overtaken before its end", job.id, job.attempt)
        return Outcome.SUPERSEDED

    async def watch(self) -> None:
        """Stops work that is no longer wanted: cancelled, or given to another attempt."""
        while True:
            await asyncio.sleep(WATCHED_EVERY_S)
            try:
                await self._look()
            except Unavailable:
                continue
            except Exception:  # who watches no more would leave cancelled jobs to run
                logger.exception("jobs under way could not be looked at; the next look repeats it")

    async def _look(self) -> None:
        under_way = dict(self._under_way)
        if not under_way:
            return
        async with self._database.connection() as connection:
            standing = await repository.standing(connection, list(under_way))
        for job_id, entry in under_way.items():
            stands = standing.get(job_id)
            mine = stands is not None and (stands.attempt, stands.status) == (entry.attempt, JobStatus.RUNNING)
            if not mine or (stands is not None and stands.cancel_requested):
                entry.stopped = True
                entry.work.cancel()

    async def rescue(self) -> int:
        """Takes up what lost workers left; how many jobs go on by it. Of many processes one at a time does."""
        stalled_s = self._settings.stalled_s
        async with self._database.transaction() as connection:
            if not await repository.alone(connection):
                return 0
            mine, taken = sorted(self._workers), sorted(self._taken)
            left = await repository.abandoned(connection, stalled_s, mine, taken)
            left = [job for job in left if job.id not in self._taken]  # taken since we asked
            outcomes = [(job.kind, await self._take_up(connection, job)) for job in left]
            rescued = await repository.send_again(connection, stalled_s, mine, taken)
        rescued += sum(outcome is Outcome.RETRIED for _, outcome in outcomes)
        for kind, outcome in outcomes:  # whoever began these attempts can count no more
            ended(kind, outcome)
        JOBS_RESCUED.inc(rescued)
        return rescued

    async def _take_up(self, connection: Any, job: Job) -> Outcome:
        logger.warning("job %d (%s): the worker of attempt %d was lost", job.id, job.kind, job.attempt)
        if job.cancel_requested:
            await repository.cancelled(connection, job)
            return Outcome.CANCELLED
        if job.failures + 1 >= MAX_FAILURES:
            await repository.fail(connection, job, as_problem(WorkerLost(f"{MAX_FAILURES} workers were lost over it")))
            return Outcome.FAILED
        await repository.again(connection, job, wait_s=0.0, failures=1)
        return Outcome.RETRIED
