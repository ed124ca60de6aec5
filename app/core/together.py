"""Equal questions at once are answered once, and nobody gets what was read before they asked."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Together(Generic[Key, Value]):
    """Of one process. A question that comes while its like is being answered waits for the next answer with all who
    come meanwhile; that one begins after they came. So many readers cost two answers at a time at most, not many."""

    def __init__(self) -> None:
        self._begun: dict[Key, asyncio.Future[None]] = {}
        self._next: dict[Key, asyncio.Task[Value]] = {}

    async def of(self, key: Key, work: Callable[[], Awaitable[Value]]) -> Value:
        """`work`'s value; raises what it raises. Equal keys must stand for equal work."""
        waiting = self._next.get(key)
        if waiting is None:
            begun = self._begun.get(key)
            if begun is None:
                return await self._answered(key, work)
            waiting = self._next[key] = asyncio.create_task(self._after(begun, key, work))
            waiting.add_done_callback(_looked_at)
        return await asyncio.shield(waiting)  # one who leaves takes nothing from the others

    async def _after(self, begun: asyncio.Future[None], key: Key, work: Callable[[], Awaitable[Value]]) -> Value:
        try:
            await asyncio.wait([begun])  # without ending it: it is the other's, and this task may be cancelled
        finally:
            del self._next[key]  # who comes from here on came after the reading began
        return await self._answered(key, work)

    async def _answered(self, key: Key, work: Callable[[], Awaitable[Value]]) -> Value:
        done = self._begun[key] = asyncio.get_running_loop().create_future()
        try:
            return await work()
        finally:
            del self._begun[key]
            done.set_result(None)


def _looked_at(task: "asyncio.Task[Value]") -> None:
    """All who waited may have left; an error nobody fetches would be logged as forgotten."""
    if not task.cancelled():
        task.exception()
