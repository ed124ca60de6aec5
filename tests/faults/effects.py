"""A worker whose jobs leave an effect each; runs in a process of its own.

A job notes each attempt as it begins, works for a while, and then writes its effect together with its own end.
"""

import asyncio
import os
import signal

from app.core.settings import DatabaseSettings, JobsSettings
from app.db.engine import Database
from app.jobs.run import Run
from app.jobs.task import Task
from app.jobs.worker import Worker

TABLES = """
create table begun (
    job int8 not null, attempt int4 not null, pid int4 not null, at timestamptz not null default clock_timestamp()
);
create table effect (job int8 not null)
"""


async def main(url: str, heartbeat_s: float, stalled_s: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = Database(url, DatabaseSettings())
    await database.open()

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

    settings = JobsSettings(heartbeat_s=heartbeat_s, stalled_s=stalled_s, retry_wait_s=0.1)
    await Worker(database, [Task("effect", leave_an_effect)], settings, concurrency=8).run(stop)
    await database.close()


def run(url: str, heartbeat_s: float, stalled_s: float) -> None:
    asyncio.run(main(url, heartbeat_s, stalled_s))
