"""The product's worker with jobs that leave an effect each; runs in a process of its own.

A job notes each attempt as it begins, works for a while, and then writes its effect together with its own end.
"""

import asyncio
import os
from pathlib import Path

from pydantic import SecretStr

from app.core.settings import DatabaseSettings, JobsSettings, Settings
from app.db.engine import Database
from app.jobs.run import Run
from app.jobs.task import Task
from app.worker import work

TABLES = """
create table begun (
    job int8 not null, attempt int4 not null, pid int4 not null, at timestamptz not null default clock_timestamp()
);
create table effect (job int8 not null)
"""


def tasks(_settings: Settings, database: Database) -> tuple[Task, ...]:
    async def leave_an_effect(run: Run) -> None:
        async with database.transaction() as connection:
            begun = (run.job.id, run.job.attempt, os.getpid())
            await connection.execute("insert into begun (job, attempt, pid) values ($1, $2, $3)", *begun)
        for step in range(10):
            await run.progress(step / 10, f"step {step}")
            await asyncio.sleep(run.job.arguments["seconds"] / 10)
        async with database.transaction() as connection:
            await connection.execute("insert into effect values ($1)", run.job.id)
            await run.finish(connection, {})

    return (Task("effect", leave_an_effect),)


def run(url: str, heartbeat_s: float, stalled_s: float, folder: Path) -> None:
    with said_in(folder, os.getpid()).open("wb") as sink:
        for descriptor in (1, 2):
            os.dup2(sink.fileno(), descriptor)
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(url)),
        jobs=JobsSettings(heartbeat_s=heartbeat_s, stalled_s=stalled_s, retry_wait_s=0.1),
    )
    asyncio.run(work(settings, concurrency=8, known=tasks))


def said_in(folder: Path, pid: int | None) -> Path:
    """What a worker says, also as it dies."""
    return folder / f"worker-{pid}.log"
