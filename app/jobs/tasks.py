"""Jobs that keep house: forgetting jobs that ended long ago, and answers whose time is over."""

from collections.abc import Mapping
from typing import Any

from app.db.engine import Database
from app.idempotency.service import Claims
from app.jobs import repository
from app.jobs.run import Run
from app.jobs.task import Task

KEPT_S = 30 * 86_400.0
DAILY = "20 0 * * *"
HOURLY = "33 * * * *"


def forgetting(database: Database) -> Task:
    """Daily: drops jobs that ended more than 30 days ago."""

    async def forget(run: Run) -> Mapping[str, Any]:
        async with database.transaction() as connection:
            result = {"forgotten": await repository.forget(connection, KEPT_S)}
            await run.finish(connection, result)
        return result

    return Task("jobs.forget", forget, cron=DAILY)


def sweeping(claims: Claims) -> Task:
    """Hourly: drops the answers kept for an `Idempotency-Key` that has run out."""

    async def sweep(_run: Run) -> Mapping[str, Any]:
        return {"dropped": await claims.sweep()}

    return Task("idempotency.sweep", sweep, cron=HOURLY)
