"""Waiting for those who began before us."""

import asyncio

from app.db.engine import Database
from app.tracking.erasing import repository

ASKED_EVERY_S = 0.2


async def settled(database: Database) -> None:
    """Returns when every transaction that is under way now has ended."""
    async with database.transaction() as connection:
        xid = await repository.own_xid(connection)
    ended = False
    while not ended:
        await asyncio.sleep(ASKED_EVERY_S)
        async with database.connection() as connection:
            ended = await repository.ended_below(connection, xid)
