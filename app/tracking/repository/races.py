"""Transactions that lost a race are repeated whole."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from app.tracking.errors import TooManyRetries
from app.tracking.repository.predictions import KeyTaken

Result = TypeVar("Result")

ATTEMPTS = 5  # a retry meets the winner's rows committed, so two nearly always do
PAUSE_S = 0.005  # of two that keep meeting, chance lets one go first: up to this before the third, then twice as long


async def repeated(work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of the first attempt that met no key of another transaction and was not ended for a deadlock."""
    for lost in range(ATTEMPTS):
        if lost > 1:
            await asyncio.sleep(random.random() * PAUSE_S * 2 ** (lost - 2))  # noqa: S311  no secret
        try:
            return await work()
        except (KeyTaken, asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            continue
    raise TooManyRetries(
        f"other transactions came first {ATTEMPTS} times; send the request again", headers={"Retry-After": "1"}
    )
