"""Transactions that lost a race are repeated whole."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from app.tracking.errors import TooManyRetries
from app.tracking.repository.predictions import KeyTaken

Result = TypeVar("Result")

ATTEMPTS = 5  # a retry meets the winner's rows committed, so two nearly always do


async def repeated(work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of the first attempt that met no key of another transaction and was not ended for a deadlock."""
    for _ in range(ATTEMPTS):
        try:
            return await work()
        except (KeyTaken, asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            continue
    raise TooManyRetries(
        f"other transactions came first {ATTEMPTS} times; send the request again", headers={"Retry-After": "1"}
    )
