"""Numpy work beside the event loop: what takes longer than about 2 ms must not hold it up."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

LOOP_ROWS = 4000  # preparing so many rows takes under 2 ms; a hop to a thread and back takes about 0.1


async def beside(size: int, work: Callable[[], Result], *, limit: int = LOOP_ROWS) -> Result:
    """`work()`, in a thread where `size` (rows, bytes: whatever `limit` counts) says that it takes long."""
    return work() if size <= limit else await asyncio.to_thread(work)
