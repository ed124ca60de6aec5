"""LISTEN until somebody says stop: one connection, lost ones are told of by returning."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from app.core.errors import Unavailable
from app.db.engine import Database

RECONNECT_S = 1.0


async def listen(
    database: Database,
    channel: str,
    heard: Callable[[str], None],
    stop: asyncio.Event,
    *,
    begun: Callable[[], None] = lambda: None,
    away: Callable[[], None] = lambda: None,
) -> None:
    """Calls `heard(payload)` at each NOTIFY until `stop`; a lost database is waited for.

    `begun` is called at each beginning: what was said before is not known. `away`: at each failure to begin.
    """
    while not stop.is_set():
        try:
            await _once(database, channel, heard, stop, begun)
        except Unavailable:
            away()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), RECONNECT_S)


async def _once(
    database: Database,
    channel: str,
    heard: Callable[[str], None],
    stop: asyncio.Event,
    begun: Callable[[], None],
) -> None:
    """Until `stop`, or the connection is lost."""
    lost = asyncio.Event()
    connection = await database.listen(channel, heard)
    connection.add_termination_listener(lambda _: lost.set())
    begun()
    waits = [asyncio.create_task(event.wait()) for event in (stop, lost)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        connection.terminate()
