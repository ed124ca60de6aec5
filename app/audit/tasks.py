"""The audit's own job: closing hours."""

from collections.abc import Mapping
from typing import Any

from app.audit.service import CLOSING, AuditChain
from app.jobs.run import Run
from app.jobs.task import Task

HOURLY = "3 * * * *"


def closing(chain: AuditChain) -> Task:
    """Hourly: chains the hours that are over; what is chained can't be changed unseen."""

    async def close(_run: Run) -> Mapping[str, Any]:
        return {"closed": await chain.close_hours()}

    return Task(CLOSING, close, cron=HOURLY)
