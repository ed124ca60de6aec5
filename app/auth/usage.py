"""When API keys were last used: noted in memory as they are looked up, written down every half minute.

A key that is asked with a thousand times a second must not write a thousand times, nor make any request wait.
"""

import asyncio

import structlog

from app.auth import repository
from app.core.clock import Clock, to_datetime
from app.core.errors import Unavailable
from app.db.engine import Database

log = structlog.get_logger()

EVERY_S = 30.0


class KeyUsage:
    """Runs in the background (`run`) and writes what is left at the end (`drain`)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._seen: dict[str, int] = {}

    def note(self, key_id: str) -> None:
        self._seen[key_id] = self._clock.now_us()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), EVERY_S)
            except TimeoutError:
                await self.write()

    async def drain(self) -> None:
        """At the end; without a database it ends all the same."""
        try:
            await self.write()
        except Unavailable:
            log.warning("when API keys were last used could not be written", keys=len(self._seen))

    async def write(self) -> None:
        """What can't be written is kept for the next time. Raises `Unavailable`."""
        seen, self._seen = self._seen, {}
        if not seen:
            return
        try:
            async with self._database.write() as session:
                await repository.note_use(session, {key: to_datetime(at) for key, at in seen.items()})
        except BaseException:
            self._seen = seen | self._seen
            raise
