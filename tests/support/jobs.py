"""A worker in the test's own process, with tasks of the test, and short ways to ask how a job stands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from app.core.settings import JobsSettings
from app.db.engine import Database
from app.jobs import repository
from app.jobs.job import Job, NewJob
from app.jobs.task import Task
from app.jobs.worker import Worker

QUICK = JobsSettings(heartbeat_s=0.2, stalled_s=1.0, retry_wait_s=0.05, stop_grace_s=0.3)
PATIENCE_S = 20.0


@contextlib.asynccontextmanager
async def working(
    database: Database, *tasks: Task, settings: JobsSettings = QUICK, concurrency: int = 2
) -> AsyncIterator[Worker]:
    """A worker for as long as the block lasts."""
    stop, ready = asyncio.Event(), asyncio.Event()
    worker = Worker(database, tasks, settings, concurrency=concurrency)
    running = asyncio.create_task(worker.run(stop, ready.set))
    await asyncio.wait_for(ready.wait(), PATIENCE_S)
    try:
        yield worker
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)


async def enqueue(database: Database, kind: str, **arguments: Any) -> int:
    async with database.transaction() as connection:
        return (await repository.enqueue(connection, NewJob(kind, "test", arguments))).id


async def look(database: Database, job_id: int) -> Job:
    async with database.connection() as connection:
        found = await repository.find(connection, job_id)
    assert found is not None
    return found


async def until(database: Database, job_id: int, holds: Callable[[Job], bool]) -> Job:
    """The job, once it stands so."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds(job := await look(database, job_id)):  # noqa: ASYNC110  the database is asked
            await asyncio.sleep(0.02)
    return job


async def ended(database: Database, job_id: int) -> Job:
    return await until(database, job_id, lambda job: job.ended)


async def messages(database: Database) -> int:
    """How many the queue holds."""
    async with database.connection() as connection:
        return int(await connection.fetchval("select count(*) from procrastinate_jobs"))
