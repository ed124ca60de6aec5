"""The horizon: the latest moment of which it is certain that everything known by then is visible.

A writer takes its transaction id before it reads the clock. So whoever read it before t0 has an id below one that
is given out after t0; once all transactions below that one have ended, everything known before t0 is there. One
microsecond is taken off, because a clock may show the same one twice.
"""

import asyncio
from collections import deque

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.db.engine import Database
from app.tracking.repository import folding

NOTES = 512
PATIENCE_S = 2.0  # writers take milliseconds; who waits longer finds the moment that the folder has noted
_STEP_S = 0.01


class Horizon:
    """What this process knows of the horizon; it only moves forward."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._reached = 0
        self._notes: deque[tuple[int, int]] = deque(maxlen=NOTES)  # (moment, a transaction id given out after it)

    async def settle(self, wanted_us: int) -> int:
        """`wanted_us` where that is settled, else the latest moment that is (us)."""
        if not self._reached or wanted_us > self._reached:
            await self._look()
            waited = 0.0
            while not self._reached and waited < PATIENCE_S:
                await asyncio.sleep(_STEP_S)
                waited += _STEP_S
                await self._look()
        if not self._reached:
            raise Unavailable("a transaction has been under way since the start; no moment of the past is settled yet")
        return min(wanted_us, self._reached)

    async def _look(self) -> None:
        async with self._database.transaction() as connection:
            self._notes.append(await folding.moment(connection, self._clock))
            ended = await folding.ended(connection)
        self._reached = max(self._reached, ended.horizon_us)
        while self._notes and self._notes[0][1] <= ended.xmin:
            self._reached = max(self._reached, self._notes.popleft()[0] - 1)
