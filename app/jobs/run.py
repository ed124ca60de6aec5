"""A job as whoever does it sees it: progress out, and the fence around everything that is written."""

import asyncio
from collections.abc import Mapping
from typing import Any

from app.db.engine import Database
from app.jobs import repository
from app.jobs.job import Job

TOLD_EVERY_S = 0.25  # progress of one stage is written no more often


class Superseded(Exception):  # noqa: N818  not an error: another attempt has the job now
    """This attempt may write nothing more: the job was given to another one, or has ended."""


class Run:
    """One attempt at a job."""

    def __init__(self, database: Database, job: Job) -> None:
        self.job = job
        self.finished = False
        self._database = database
        self._told: tuple[str, float] = ("", 0.0)

    async def progress(self, fraction: float, stage: str, message: str = "") -> None:
        """Tells followers how far it is; `fraction` of the whole. Raises `Superseded`."""
        now = asyncio.get_running_loop().time()
        told_stage, told_at = self._told
        if stage == told_stage and now - told_at < TOLD_EVERY_S:
            return
        async with self._database.transaction() as connection:
            if not await repository.progress(connection, self.job, min(max(fraction, 0.0), 1.0), stage, message):
                raise Superseded
        self._told = stage, now

    async def hold(self, connection: Any) -> None:
        """From here to the end of the caller's transaction the job is this attempt's. Raises `Superseded`.

        It locks the job's row, so progress can't be told meanwhile.
        """
        if not await repository.hold(connection, self.job):
            raise Superseded

    async def count(self, connection: Any, **more: int) -> dict[str, int]:
        """Adds to what the job has done, in the caller's transaction that does it; what all its attempts have by then.

        The job's `result` says so however it ends, by a lost worker too. Raises `Superseded`; locks as `hold` does.
        """
        done = await repository.count(connection, self.job, more)
        if done is None:
            raise Superseded
        return done

    async def finish(self, connection: Any, result: Mapping[str, Any]) -> None:
        """Ends the job in the caller's transaction, so that its effect and its end are one. Raises `Superseded`."""
        if not await repository.succeed(connection, self.job, result):
            raise Superseded
        self.finished = True
