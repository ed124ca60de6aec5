"""How far folding is behind, as each process sees it: a folder after every round, who does not fold by looking."""

import asyncio

from app.core.clock import SECOND, Clock
from app.core.health import Finding, HealthProbe, Status
from app.core.telemetry import FOLDING_LAG
from app.db.engine import Database
from app.tracking.repository import folding

LAGS_FROM_S = 60.0  # a long transaction anywhere in the server holds folding up; a minute is worth a look
LOOKS_EVERY_S = 10.0  # often enough to tell a minute; where nobody folds, each look reads all that waits


class Lag:
    """The age of the oldest delta that no rollup holds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen_us = clock.now_us()
        self._seen_s = 0.0

    @property
    def seconds(self) -> float:
        """When last looked at, plus the time since."""
        return self._seen_s + max(self._clock.now_us() - self._seen_us, 0) / SECOND

    async def look(self, connection: object, since: int) -> None:
        """Below the transaction `since` all is folded."""
        now_us = self._clock.now_us()
        self._seen_s = await folding.oldest_pending_s(connection, since, now_us)
        self._seen_us = now_us
        FOLDING_LAG.set(self._seen_s)

    def health_probes(self) -> tuple[HealthProbe, ...]:
        """Answers stay right while folding lags; they get slower, and followers of the stream hear late."""
        return (HealthProbe("folding", self._finding),)

    async def _finding(self) -> Finding:
        detail = f"the oldest unfolded delta is {self.seconds:.1f} s old"
        return Finding(Status.HEALTHY if self.seconds < LAGS_FROM_S else Status.DEGRADED, detail)


class LagWatch:
    """In a process that does not fold: should no other do it either, somebody must be told."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._lag = Lag(clock)

    def health_probes(self) -> tuple[HealthProbe, ...]:
        return self._lag.health_probes()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.look()
            waiting = asyncio.ensure_future(stop.wait())
            await asyncio.wait([waiting], timeout=LOOKS_EVERY_S)
            waiting.cancel()

    async def look(self) -> None:
        async with self._database.transaction(patient=True) as connection:
            await self._lag.look(connection, (await folding.ended(connection)).folded_below)
