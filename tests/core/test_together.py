"""Equal questions at once: how often they are answered, and that no answer is older than its question."""

import asyncio

import pytest

from app.core.together import Together


class Source:
    """Something that changes, slow to read."""

    def __init__(self) -> None:
        self.value = 0
        self.reads = 0
        self.open = asyncio.Event()

    async def read(self) -> int:
        self.reads += 1
        found = self.value
        await self.open.wait()
        return found


async def asked(together: Together[str, int], source: Source, times: int = 1) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(together.of("key", source.read)) for _ in range(times)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_many_cost_two_answers() -> None:
    together, source = Together[str, int](), Source()
    tasks = await asked(together, source, 50)
    source.open.set()
    assert await asyncio.gather(*tasks) == [0] * 50
    assert source.reads == 2


async def test_nobody_gets_what_was_read_before_they_asked() -> None:
    together, source = Together[str, int](), Source()
    first = await asked(together, source)
    source.value = 1
    second = await asked(together, source, 3)
    source.open.set()
    assert await asyncio.gather(*first, *second) == [0, 1, 1, 1]


async def test_who_comes_between_two_answers_waits_with_the_others() -> None:
    """Overtaking them would keep them waiting for as long as questions come."""
    together, source = Together[str, int](), Source()
    first, second = await asked(together, source), await asked(together, source, 3)
    source.open.set()
    first[0].add_done_callback(lambda _: second.append(asyncio.ensure_future(together.of("key", source.read))))
    await first[0]
    await asyncio.sleep(0)
    await asyncio.gather(*second)
    assert len(second) == 4
    assert source.reads <= 3


async def test_other_keys_do_not_wait() -> None:
    together, source = Together[str, int](), Source()
    await asked(together, source)

    async def other() -> int:
        return 7

    assert await together.of("other", other) == 7
    source.open.set()


async def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    together, source = Together[str, int](), Source()
    first, second = await asked(together, source), await asked(together, source, 2)
    first[0].cancel()
    second[0].cancel()
    source.open.set()
    assert await second[1] == 0
    assert source.reads == 2
    assert await together.of("key", source.read) == 0


async def test_an_error_reaches_all_who_share_it_and_no_others() -> None:
    together, source = Together[str, int](), Source()

    async def fails() -> int:
        await source.open.wait()
        raise ValueError("no")

    first = await asked(together, source)
    second = [asyncio.create_task(together.of("key", fails)) for _ in range(3)]
    await asyncio.sleep(0)
    source.open.set()
    assert await first[0] == 0
    for task in second:
        with pytest.raises(ValueError, match="no"):
            await task
    assert await together.of("key", source.read) == 0


async def test_one_that_waits_and_is_ended_leaves_the_one_before_alone() -> None:
    """As at the end of a process, when every task is."""
    together, source = Together[str, int](), Source()
    mine = asyncio.current_task()
    first, second = await asked(together, source), await asked(together, source)
    [waiting] = [task for task in asyncio.all_tasks() if task not in {mine, *first, *second}]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second[0]
    source.open.set()
    assert await first[0] == 0
    assert await together.of("key", source.read) == 0
