"""The engine's own job: forgetting those that ended long ago."""

from collections.abc import Mapping
from typing import Any

from app.db.engine import Database
from app.jobs import repository
from app.jobs.run import Run
from app.jobs.task import Every, Task

KEPT_S = 30 * 86_400.0
DAILY = Every("20 0 * * *", 86_400)


def forgetting(database: Database) -> Task:
    """Daily: drops jobs that ended more than 30 days ago."""

    async def forget(run: Run) -> Mapping[str, Any]:
        async with database.transaction() as connection:
            result = {"forgotten": await repository.forget(connection, KEPT_S)}
            await run.finish(connection, result)
        return result

    return Task("jobs.forget", forget, every=DAILY)
