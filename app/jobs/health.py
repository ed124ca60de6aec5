"""What health says of jobs: are there workers, and do jobs get their turn."""

import time

from app.core.health import Finding, HealthProbe, Status
from app.db.engine import Database
from app.jobs import repository
from app.jobs.observed import measured
from app.jobs.repository import QueueState

ASKED_EVERY_S = 5.0  # health asks each second; the queue changes slowly
STARTING_S = 30.0  # a worker that starts beside this process needs a few seconds on a busy machine
WAITS_FROM_S = 60.0


class JobsHealth:
    """Without workers nothing is lost, but upkeep and whatever was asked for waits: degraded, never unready."""

    def __init__(self, database: Database, stalled_s: float) -> None:
        self._database = database
        self._stalled_s = stalled_s
        self._started = time.monotonic()
        self._kept: tuple[float, Finding] | None = None

    def health_probes(self) -> tuple[HealthProbe, ...]:
        return (HealthProbe("jobs", self._finding),)

    async def _finding(self) -> Finding:
        if not self._database.opened:
            return Finding(Status.HEALTHY, "not asked before the database is")
        now = time.monotonic()
        if self._kept is None or now - self._kept[0] >= ASKED_EVERY_S:
            async with self._database.connection() as connection:
                state = await repository.state(connection, self._stalled_s)
            measured(state)  # workers tell it too, but not where there are none
            self._kept = now, judged(state, up_s=now - self._started)
        return self._kept[1]


def judged(state: QueueState, *, up_s: float) -> Finding:
    """`up_s`: how long this process has been there to see a worker."""
    said = f"{state.workers} workers, {state.running} jobs running, {state.due} waiting"
    if not state.workers:
        status = Status.DEGRADED if up_s >= STARTING_S else Status.HEALTHY
        return Finding(status, f"{said}: start one by `assay worker`")
    if state.waited_s >= WAITS_FROM_S:
        return Finding(Status.DEGRADED, f"{said}, the oldest for {state.waited_s:.0f} s: start more workers")
    return Finding(Status.HEALTHY, said)
