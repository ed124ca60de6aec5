"""The stream: one LISTEN per process, fanned out to every client that follows.

A follower holds the *set* of models that changed since it was last told, so a slow client costs no more memory than a
fast one, and gets one event where others got many.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from weakref import WeakSet

import msgspec

from app.analytics.errors import StreamsExhausted
from app.core.errors import Unavailable
from app.core.leaving import told_of_the_end
from app.db.engine import Database
from app.db.listening import listen
from app.models.catalogue import Catalogue

logger = logging.getLogger(__name__)

CHANNEL = "assay_rollups"
MAX_FOLLOWERS = 200  # per process; each holds a connection and a few kilobytes
HEARTBEAT_S = 15.0  # proxies cut what is silent for 30 to 60 s
LONGEST_S = 900.0  # then the client comes again with a fresh token
TOGETHER_S = 0.1  # what is folded in one round is told at once
AWAY_S = 1.0  # the database is asked again after so long


class Follower:
    """What one client has not been told yet."""

    def __init__(self) -> None:
        self.changed: set[int] = set()
        self.woken = asyncio.Event()

    def tell(self, model_no: int) -> None:
        self.changed.add(model_no)
        self.woken.set()

    def take(self) -> set[int]:
        self.woken.clear()
        taken, self.changed = self.changed, set()
        return taken


class Feed:
    """One per process; `run` in the background, `events` for each client."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._catalogue = catalogue
        self._followers: WeakSet[Follower] = WeakSet()  # a stream that was never begun leaves with its iterator
        self._names: dict[int, str] = {}
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.listening = asyncio.Event()  # from here on nothing is missed

    async def run(self, stop: asyncio.Event) -> None:
        """Listens until told to stop, then ends every stream; a lost database is waited for."""
        self._loop = asyncio.get_running_loop()
        with told_of_the_end(self.leave):
            await listen(self._database, CHANNEL, self._heard, stop, begun=self._begun, away=_away)
        self.close()

    def leave(self) -> None:
        """`close`, from any thread or signal handler."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)

    def close(self) -> None:
        """Ends every stream, and every one that still comes."""
        self._closed = True
        for follower in self._followers:
            follower.woken.set()

    def events(self, models: tuple[str, ...] | None) -> AsyncGenerator[bytes]:
        """Server-sent events for one client; `models` limits what it hears of (None: all).

        Raises `StreamsExhausted` at once, before an answer has begun.
        """
        if len(self._followers) >= MAX_FOLLOWERS:
            raise StreamsExhausted(
                f"{MAX_FOLLOWERS} clients follow this process already", headers={"Retry-After": str(int(HEARTBEAT_S))}
            )
        follower = Follower()
        self._followers.add(follower)
        return self._events(follower, models)

    async def _events(self, follower: Follower, models: tuple[str, ...] | None) -> AsyncGenerator[bytes]:
        ends = asyncio.get_running_loop().time() + LONGEST_S
        try:
            yield b"retry: 1000\n\n"
            while not self._closed and asyncio.get_running_loop().time() < ends:
                yield await self._next(follower, models)
        finally:
            self._followers.discard(follower)

    async def _next(self, follower: Follower, models: tuple[str, ...] | None) -> bytes:
        try:
            await asyncio.wait_for(follower.woken.wait(), HEARTBEAT_S)
        except TimeoutError:
            return b": heartbeat\n\n"
        await asyncio.sleep(TOGETHER_S)
        changed = follower.take()
        try:
            names = sorted(await self._named(changed))
        except Unavailable:  # an answer that has begun can't say so
            await asyncio.sleep(AWAY_S)
            for number in changed:
                follower.tell(number)
            return b": -\n\n"
        heard = [name for name in names if models is None or name in models]
        return b"event: rollups\ndata: " + msgspec.json.encode({"models": heard}) + b"\n\n" if heard else b": -\n\n"

    async def _named(self, numbers: set[int]) -> list[str]:
        if not numbers <= self._names.keys():
            self._names = {facts.id: facts.model_id for facts in await self._catalogue.all()}
        return [self._names[number] for number in numbers if number in self._names]

    def _begun(self) -> None:
        for model_no in self._names:  # what was said before we listened is not known
            self._heard(str(model_no))
        self.listening.set()

    def _heard(self, payload: str) -> None:
        for follower in self._followers:
            follower.tell(int(payload))


def _away() -> None:
    logger.info("no database to listen to; streams are silent until it is back")
