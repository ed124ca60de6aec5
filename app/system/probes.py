"""The components every process has: database, its schema, the store of the limits."""

import asyncio

from app.core.health import Finding, HealthProbe, Status
from app.core.limits import Limits
from app.db.engine import Database
from app.system.repository import DatabaseWatch
from app.system.schema import SchemaState

DATABASE_TIMEOUT_S = 1.5


def own_probes(
    database: Database, watch: DatabaseWatch, schema: SchemaState, limits: Limits
) -> tuple[HealthProbe, ...]:
    """A database that answers neither on the watch's connection nor to a new one is given up until it does."""
    doubts: set[asyncio.Task[None]] = set()

    async def doubt() -> None:
        if await watch.silent():
            database.give_up()

    async def answers() -> Finding:
        try:
            await watch.ping()
        except BaseException:  # also when the probe's time is over
            doubts.add(task := asyncio.create_task(doubt()))
            task.add_done_callback(doubts.discard)
            raise
        database.heard()
        return Finding(Status.HEALTHY, "answers")

    async def limits_store() -> Finding:
        if await limits.alive():
            return Finding(Status.HEALTHY, "answers")
        return Finding(Status.DEGRADED, "no answer: log-in is refused, other limits are not counted")

    probes = (
        HealthProbe("database", answers, critical=True, timeout_s=DATABASE_TIMEOUT_S),
        HealthProbe("migrations", schema.finding, critical=True, timeout_s=DATABASE_TIMEOUT_S),
    )
    return (*probes, HealthProbe("limits", limits_store)) if limits.shared else probes
