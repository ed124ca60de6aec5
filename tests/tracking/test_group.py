"""Group commit: shared, bounded, and unhurt by those who leave."""

import asyncio
from collections.abc import Sequence

import pytest

from app.tracking.errors import Overloaded
from app.tracking.storing.group import Backlog, Group


class Store:
    """Doubles numbers when told to go on; remembers what came together."""

    def __init__(self) -> None:
        self.flushes: list[list[int]] = []
        self.go = asyncio.Event()
        self.under_way = 0
        self.most_at_once = 0

    async def flush(self, items: Sequence[int]) -> list[int | Exception]:
        self.flushes.append([*items])
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await self.go.wait()
        self.under_way -= 1
        if 13 in items:
            raise ValueError("thirteen")
        return [RuntimeError("seven") if item == 7 else item * 2 for item in items]


def group(store: Store, *, rows: int = 100, second_from: int = 1000, limit: int = 10_000) -> Group[int, int]:
    return Group(store.flush, Backlog(limit), rows=rows, second_from=second_from)


async def begun(*work: asyncio.Task[int]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in work)


class TestSharing:
    async def test_what_arrives_meanwhile_shares_the_next_flush(self) -> None:
        store = Store()
        shared = group(store)
        tasks = [asyncio.create_task(shared.submit(item, 1)) for item in range(1, 6)]
        await begun(*tasks)
        store.go.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
        assert store.flushes in ([[1, 2, 3, 4, 5]], [[1], [2, 3, 4, 5]])
        assert store.most_at_once == 1

    async def test_one_after_the_other_is_answered_each_time(self) -> None:
        store = Store()
        store.go.set()
        shared = group(store)
        assert [await shared.submit(item, 1) for item in range(5)] == [0, 2, 4, 6, 8]

    async def test_callers_who_come_back_share_all_further_flushes(self) -> None:
        """Else two halves would take turns: one sends while the other is stored."""
        store = Store()
        shared = group(store)

        async def caller(first: int) -> None:
            for turn in range(3):
                await shared.submit(first + turn, 1)

        callers = [asyncio.create_task(caller(first)) for first in (20, 30, 40, 50)]
        await asyncio.sleep(0)
        store.go.set()
        await asyncio.gather(*callers)
        assert [len(flush) for flush in store.flushes] in ([4, 4, 4], [1, 3, 4, 4])

    async def test_nobody_waits_long_for_a_caller_who_does_not_come_back(self) -> None:
        store = Store()
        store.go.set()
        shared = group(store)
        await asyncio.gather(*(shared.submit(item, 1) for item in range(20, 24)))
        started = asyncio.get_running_loop().time()
        await asyncio.gather(shared.submit(30, 1), shared.submit(31, 1))
        assert asyncio.get_running_loop().time() - started < 0.5

    async def test_a_second_flush_runs_beside_the_first_for_batches(self) -> None:
        store = Store()
        shared = group(store, rows=1000, second_from=500)
        tasks = [asyncio.create_task(shared.submit(item, 1000)) for item in range(1, 5)]
        await begun(*tasks)
        assert store.under_way == 2
        store.go.set()
        await asyncio.gather(*tasks)
        assert store.most_at_once == 2

    async def test_no_flush_carries_more_rows_than_allowed_but_for_a_single_item(self) -> None:
        store = Store()
        store.go.set()
        shared = group(store, rows=10)
        sizes = [4, 4, 4, 25, 1]
        await asyncio.gather(*(shared.submit(item, size) for item, size in enumerate(sizes)))
        assert store.flushes == [[0, 1], [2], [3], [4]]


class TestFailing:
    async def test_the_error_of_a_flush_reaches_all_it_carried_and_nobody_else(self) -> None:
        store = Store()
        store.go.set()
        shared = group(store, rows=2)
        answers = await asyncio.gather(*(shared.submit(item, 1) for item in (1, 13, 3, 4)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError, ValueError, int, int]

    async def test_an_answer_may_be_an_error_of_one_item(self) -> None:
        store = Store()
        store.go.set()
        shared = group(store)
        answers = await asyncio.gather(*(shared.submit(item, 1) for item in (6, 7, 8)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [int, RuntimeError, int]


class TestLeaving:
    async def test_who_leaves_while_waiting_takes_his_rows_along(self) -> None:
        store = Store()
        shared = group(store)
        first = asyncio.create_task(shared.submit(1, 1))
        await begun(first)
        waiting = [asyncio.create_task(shared.submit(item, 1)) for item in (2, 3, 4)]
        await begun(*waiting)
        waiting[1].cancel()
        store.go.set()
        assert await asyncio.gather(first, waiting[0], waiting[2]) == [2, 4, 8]
        assert store.flushes == [[1], [2, 4]]

    async def test_who_leaves_during_the_flush_breaks_nothing(self) -> None:
        store = Store()
        shared = group(store)
        tasks = [asyncio.create_task(shared.submit(item, 1)) for item in (1, 2)]
        await begun(*tasks)
        tasks[0].cancel()
        store.go.set()
        assert await tasks[1] == 4
        assert await shared.submit(5, 1) == 10


class TestOverload:
    async def test_newcomers_are_turned_away_until_there_is_room(self) -> None:
        store = Store()
        shared = group(store, limit=10)
        first = asyncio.create_task(shared.submit(1, 8))
        await begun(first)
        with pytest.raises(Overloaded) as refused:
            await shared.submit(2, 3)
        assert refused.value.extra_headers == {"Retry-After": "1"}
        store.go.set()
        await first
        assert await shared.submit(2, 3) == 4

    async def test_rows_of_those_who_failed_or_left_are_given_back(self) -> None:
        store = Store()
        backlog = Backlog(10)
        shared: Group[int, int] = Group(store.flush, backlog, rows=1, second_from=1000)
        tasks = [asyncio.create_task(shared.submit(item, 1)) for item in (13, 1, 2)]
        await begun(*tasks)
        tasks[2].cancel()
        store.go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        await shared.drain()
        assert backlog.rows == 0
