"""Group commit: what arrives while a transaction runs shares the next one.

An item is answered after the flush that carried it has ended. The first to come flushes at once. Where several callers
send one item after the other, the next flush waits for those who were just answered: they are back in a moment, and
one flush for all costs half of two whose callers take turns.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.tracking.errors import Overloaded

Item = TypeVar("Item")
Answer = TypeVar("Answer")

RETRY_AFTER_S = 1
REUNION_S = 0.002  # a caller on a busy machine is back within it; if nobody came in so long, nobody is waited for
REUNIONS = 3  # at most so often in a row


class Backlog:
    """How many rows wait in all groups of the process; full, it turns newcomers away before memory does."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.rows = 0

    def admit(self, rows: int) -> None:
        """Raises `Overloaded`; a request that comes alone is let in whatever its size."""
        if self.rows and self.rows + rows > self._limit:
            raise Overloaded(
                f"{self.rows} rows wait to be stored; send these again in a moment",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self.rows += rows

    def release(self, rows: int) -> None:
        self.rows -= rows


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Answer]):
    item: Item
    rows: int
    answer: asyncio.Future[Answer]


class Group(Generic[Item, Answer]):
    """Items that may share a transaction. `flush` takes some, in order of arrival; an answer may be an error."""

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        backlog: Backlog,
        *,
        rows: int,
        second_from: int,
    ) -> None:
        """At most `rows` in a flush (or one item); a second flush at once only when `second_from` rows wait.

        Single rows gain by sharing one flush, batches by a second one that prepares while the first waits for the disk.
        """
        self._flush = flush
        self._backlog = backlog
        self._limit = rows
        self._second_from = second_from
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._queued_rows = 0
        self._working = 0
        self._expected = 0  # so many items in the queue and the reunion is complete
        self._complete: asyncio.Future[None] | None = None
        self._flushers: set[asyncio.Task[None]] = set()  # the loop itself keeps none of them alive

    async def submit(self, item: Item, rows: int) -> Answer:
        """The item's answer, or what the flush that carried it raised.

        A caller who is cancelled before his flush began takes his item with him; later, it is stored all the same.
        """
        self._backlog.admit(rows)
        waiting = _Waiting[Item, Answer](item, rows, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued_rows += rows
        if not self._working or (self._working == 1 and self._queued_rows >= self._second_from):
            self._working += 1
            task = asyncio.create_task(self._work())
            self._flushers.add(task)
            task.add_done_callback(self._flushers.discard)
        elif self._complete is not None and len(self._queue) >= self._expected and not self._complete.done():
            self._complete.set_result(None)
        return await waiting.answer

    async def drain(self) -> None:
        """Returns when nothing waits and nothing is under way."""
        while self._flushers:
            await asyncio.wait(list(self._flushers))

    async def _work(self) -> None:
        try:
            while self._queue:
                batch = self._next()
                if batch:
                    await self._carry(batch)
                    await self._reunion(batch)
        finally:
            self._working -= 1  # not when the task is done: who is answered now may come back before that

    async def _reunion(self, answered: list[_Waiting[Item, Answer]]) -> None:
        """Waits until as many items are there as callers are known, or nobody came for a moment.

        A caller who is alone is not waited for; nor is anybody where a flush has rows enough to be worth its cost.
        """
        self._expected = len(answered) + len(self._queue)
        if self._expected == 1 or sum(waiting.rows for waiting in answered) >= self._second_from:
            return
        self._complete = asyncio.get_running_loop().create_future()
        for _ in range(REUNIONS):
            seen = len(self._queue)
            if self._working > 1 or self._queued_rows >= self._second_from:
                break
            await asyncio.wait([self._complete], timeout=REUNION_S)
            if self._complete.done() or len(self._queue) == seen:
                break
        self._complete = None

    def _next(self) -> list[_Waiting[Item, Answer]]:
        """The longest start of the queue that fits into a flush, without those who left."""
        taken: list[_Waiting[Item, Answer]] = []
        rows = 0
        while self._queue and (not taken or rows + self._queue[0].rows <= self._limit):
            waiting = self._queue.popleft()
            self._queued_rows -= waiting.rows
            if waiting.answer.cancelled():
                self._backlog.release(waiting.rows)
                continue
            taken.append(waiting)
            rows += waiting.rows
        return taken

    async def _carry(self, batch: list[_Waiting[Item, Answer]]) -> None:
        try:
            answers = await self._flush([waiting.item for waiting in batch])
            for waiting, answer in zip(batch, answers, strict=True):
                _settle(waiting.answer, answer)
        except Exception as error:
            for waiting in batch:
                _settle(waiting.answer, error)
        finally:
            for waiting in batch:
                self._backlog.release(waiting.rows)
                waiting.answer.cancel()  # without effect where there is an answer; else the flusher itself was ended


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if future.done():  # its caller has left
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
