"""Rate limits in memory, in Redis, and with a store that is slow or dead."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar

import pytest

from app.core.errors import Unavailable
from app.core.limits import LargerThanLimit, Limit, Limits, Usage, Verdict, _windows, headers, refusal
from tests.support.proxy import slowed
from tests.support.redis import RedisServer, redis_server
from tests.support.served import free_port

Call = Callable[[Limits], Awaitable[object]]
USER = Limit("requests", "5/minute;3/second")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis: RedisServer) -> str:
    return redis.url


@pytest.fixture(params=["memory", "redis"])
def limits(request: pytest.FixtureRequest) -> Iterator[Limits]:
    shared = request.param == "redis"
    made = Limits(enabled=True, redis_url=request.getfixturevalue("redis_url") if shared else None)
    yield made
    made.close()


@pytest.fixture
def deaf() -> Iterator[str]:
    """The URL of a store that takes connections and never answers."""
    listening = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                taken.append(listening.accept()[0])
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
    listening.close()
    for connection in taken:
        connection.close()


class TestRequests:
    async def test_refuses_what_is_too_much_in_the_short_window(self, limits: Limits, request: object) -> None:
        key = f"short-{id(request)}"
        verdicts = [await limits.request(USER, key) for _ in range(4)]
        assert [verdict.refused is None for verdict in verdicts] == [True, True, True, False]
        refused = verdicts[-1].refused
        assert refused is not None
        assert (refused.limit, refused.window_s, refused.remaining) == (3, 1, 0)

    async def test_a_refused_request_uses_nothing_up(self, limits: Limits, request: object) -> None:
        key = f"refused-{id(request)}"
        for _ in range(10):
            await limits.request(USER, key)
        await asyncio.sleep(1.05)
        verdicts = [await limits.request(USER, key) for _ in range(3)]
        assert [verdict.refused is None for verdict in verdicts] == [True, True, False]
        refused = verdicts[-1].refused
        assert refused is not None
        assert refused.window_s == 60

    async def test_each_key_counts_for_itself(self, limits: Limits, request: object) -> None:
        for n in range(5):
            assert (await limits.request(USER, f"own-{n}-{id(request)}")).refused is None

    async def test_a_burst_lets_no_more_through_than_the_limit(self, limits: Limits, request: object) -> None:
        verdicts = await asyncio.gather(*(limits.request(USER, f"burst-{id(request)}") for _ in range(30)))
        assert sum(verdict.refused is None for verdict in verdicts) == 3

    @pytest.mark.fault("F16")
    async def test_two_processes_share_one_count(self, redis_url: str) -> None:
        first, second = (Limits(enabled=True, redis_url=redis_url) for _ in range(2))
        refused = [(await limits.request(USER, "shared")).refused for limits in (first, second, first, second)]
        first.close()
        second.close()
        assert [used_up is None for used_up in refused] == [True, True, True, False]

    async def test_nothing_is_limited_when_switched_off(self) -> None:
        limits = Limits(enabled=False)
        assert [await limits.request(USER, "off") for _ in range(20)] == [Verdict()] * 20


class TestAmounts:
    async def test_counts_rows(self, limits: Limits, request: object) -> None:
        rows, key = Limit("rows", "1000/minute"), f"rows-{id(request)}"
        assert (await limits.amount(rows, key, 900)).refused is None
        assert (await limits.amount(rows, key, 101)).refused is not None
        assert (await limits.amount(rows, key, 50)).refused is None

    @pytest.mark.parametrize("spec", ["1000/second", "1000/second;1100/2second"])
    async def test_pass_when_it_was_told(self, limits: Limits, request: object, spec: str) -> None:
        """At once or in the next window, and also where another window than the one that refuses takes longer."""
        rows, key = Limit("rows", spec), f"told-{spec}-{id(request)}"
        assert (await limits.amount(rows, key, 700)).refused is None
        for amount in (400, 1000):
            refused = await limits.amount(rows, key, amount)
            assert refused.refused is not None
            wait = refused.free_at - time.time()
            assert int(refusal(refused).extra_headers["Retry-After"]) >= wait
            assert wait < 4
            await asyncio.sleep(wait)
            assert (await limits.amount(rows, key, amount)).refused is None

    async def test_that_never_pass_are_told_from_those_that_may(self, limits: Limits, request: object) -> None:
        with pytest.raises(LargerThanLimit) as refused:
            await limits.amount(Limit("rows", "1000/minute;900/second"), f"large-{id(request)}", 901)
        assert refused.value.members == {"limit": 900, "window_s": 1}

    async def test_costs_the_same_for_many_as_for_one(self) -> None:
        limits, rows = Limits(enabled=True), Limit("rows", "1000000000/minute")
        begun = time.perf_counter()
        for _ in range(100):
            await limits.amount(rows, "key", 50_000)
        assert time.perf_counter() - begun < 0.5


class TestSmallAmounts:
    async def test_a_busy_sender_asks_the_store_once_for_many_and_is_held_all_the_same(
        self, limits: Limits, request: object
    ) -> None:
        rows, asked = Limit(f"small {id(request)}", "40000/hour"), 0
        take = limits._take

        def counted(*arguments: Any) -> Verdict:
            nonlocal asked
            asked += 1
            return take(*arguments)

        limits._take = counted  # type: ignore[method-assign]
        remaining = [(await limits.amount(rows, "a", 1)).usages[0].remaining for _ in range(5)]
        assert remaining == [39_999, 39_998, 39_997, 39_996, 39_995]
        assert asked == 1
        assert (await limits.amount(rows, "a", 39_990)).refused is None
        assert [(await limits.amount(rows, "a", 1)).refused is None for _ in range(6)] == [True] * 5 + [False]


class TestVeryHighLimits:
    async def test_hold_without_remembering_every_request(self, limits: Limits, request: object) -> None:
        high = Limit(f"high {id(request)}", "20000/hour")
        assert not high.exact
        assert USER.exact
        await limits.amount(high, "a", 19_999)  # the same counters
        assert (await limits.request(high, "a")).refused is None
        assert (await limits.request(high, "a")).refused is not None


@pytest.mark.fault("F15")
class TestStoreTrouble:
    async def test_a_deaf_store_opens_within_100_ms_and_does_not_stop_the_loop(self, deaf: str) -> None:
        limits = Limits(enabled=True, redis_url=deaf)
        late = asyncio.create_task(_longest_pause(0.3))
        begun = time.perf_counter()
        assert await limits.request(USER, "a") == Verdict()
        first = time.perf_counter() - begun
        for _ in range(50):  # it is left alone for a second, so nobody else waits
            assert (await limits.request(USER, "a")).refused is None
        assert time.perf_counter() - begun < first + 0.05
        assert first < 0.1
        assert await late < 0.05
        assert not await limits.alive()
        limits.close()

    async def test_and_closes_for_log_in(self, deaf: str) -> None:
        limits = Limits(enabled=True, redis_url=deaf)
        begun = time.perf_counter()
        with pytest.raises(Unavailable):
            await limits.request(USER, "a", closed=True)
        assert time.perf_counter() - begun < 0.1
        limits.close()

    async def test_so_does_one_that_is_gone(self) -> None:
        limits = Limits(enabled=True, redis_url=f"redis://127.0.0.1:{free_port()}/0")
        assert await limits.request(USER, "a") == Verdict()
        assert await limits.amount(USER, "a", 3) == Verdict()
        with pytest.raises(Unavailable):
            await limits.request(USER, "a", closed=True)
        limits.close()


@pytest.mark.fault("F15")
class TestDistantStore:
    """One whose every answer takes 12 ms: it is asked once, so limits hold."""

    ASKED: ClassVar[dict[str, Call]] = {
        "a user": lambda limits: limits.request(USER, "distant"),
        "a log-in": lambda limits: limits.requests(
            [(Limit("address", "20/minute"), "1.2.3.4"), (Limit("account", "5/minute"), "a")], closed=True
        ),
        "a very high limit": lambda limits: limits.request(Limit("high", "20000/hour;15000/minute"), "a"),
        "rows": lambda limits: limits.amount(Limit("rows", "100000/hour;50000/minute"), "a", 100),
    }

    @pytest.mark.parametrize("what", ASKED)
    async def test_is_asked_once(self, redis: RedisServer, what: str) -> None:
        """The best of five: what other work on this machine adds is not the store's."""
        async with slowed(redis.url, 0.012) as proxy:
            limits = Limits(enabled=True, redis_url=proxy.url)
            await limits.alive()
            spent = []
            for _ in range(5):
                begun = time.perf_counter()
                verdict = await self.ASKED[what](limits)
                spent.append(time.perf_counter() - begun)
                assert isinstance(verdict, Verdict)
                assert verdict.usages or verdict.refused
            limits.close()
        assert min(spent) < 0.024

    async def test_a_log_in_waits_once_for_one_that_is_too_far(self, redis: RedisServer) -> None:
        async with slowed(redis.url, 0.2) as proxy:
            limits = Limits(enabled=True, redis_url=proxy.url)
            begun = time.perf_counter()
            with pytest.raises(Unavailable):
                await self.ASKED["a log-in"](limits)
            assert time.perf_counter() - begun < 0.1
            limits.close()


class TestSeveralLimits:
    async def test_what_one_refuses_uses_nothing_up_of_the_others(self, limits: Limits, request: object) -> None:
        wide, narrow = Limit("wide", "5/minute"), Limit("narrow", "20000/hour;2/minute")
        asked = [(wide, f"w-{id(request)}"), (narrow, f"n-{id(request)}")]
        verdicts = [await limits.requests(asked) for _ in range(4)]
        assert [verdict.by for verdict in verdicts] == [None, None, narrow, narrow]
        assert [[usage.remaining for usage in verdict.usages] for verdict in verdicts[:2]] == [
            [4, 1, 19_999],
            [3, 0, 19_998],
        ]
        assert (await limits.request(wide, asked[0][1])).usages[0].remaining == 2

    @pytest.mark.parametrize("spec", ["5/minute", "20000/hour"])
    async def test_redis_is_read_as_the_library_reads_it(self, redis_url: str, spec: str, request: object) -> None:
        """Processes that ask by the library's own scripts count in the same place."""
        limits, limit = Limits(enabled=True, redis_url=redis_url), Limit("shared", spec)
        key = f"library-{id(request)}"
        for _ in range(3):
            verdict = await limits.request(limit, key)
        ((_, window),) = _windows(limit, key, exact=limit.exact)
        await asyncio.sleep(0.01)  # in the very millisecond in which a window begins the library says that it ends
        stats = limits._counting(window).get_window_stats(window.item, *window.identifiers)
        assert stats.remaining == verdict.usages[0].remaining == limit.items[0].amount - 3
        assert stats.reset_time == pytest.approx(verdict.usages[0].reset_at, abs=0.1)
        assert limits._counting(window).hit(window.item, *window.identifiers)
        assert (await limits.request(limit, key)).usages[0].remaining == limit.items[0].amount - 5
        limits.close()


@pytest.mark.fault("F15")
class TestFrozenStore:
    """A real redis-server that is stopped: its socket takes everything and nothing comes back."""

    CALLS: ClassVar[dict[str, tuple[Call, bool]]] = {
        "a request": (lambda limits: limits.request(USER, "frozen"), False),
        "rows of ingest": (lambda limits: limits.amount(USER, "frozen", 1), False),
        "a log-in": (lambda limits: limits.request(USER, "frozen", closed=True), True),
    }

    @pytest.mark.parametrize("what", CALLS)
    async def test_opens_or_closes_within_100_ms_and_the_loop_goes_on(self, redis: RedisServer, what: str) -> None:
        """The best of three: what other work on this machine adds is not the store's."""
        call, closes = self.CALLS[what]
        spent, pauses = [], []
        for _ in range(3):
            limits = Limits(enabled=True, redis_url=redis.url)
            await limits.request(USER, f"warm-{what}")
            with redis.frozen():
                late = asyncio.create_task(_longest_pause(0.2))
                begun = time.perf_counter()
                if closes:
                    with pytest.raises(Unavailable):
                        await call(limits)
                else:
                    assert await call(limits) == Verdict()
                spent.append(time.perf_counter() - begun)
                pauses.append(await late)
            limits.close()
        assert min(spent) < 0.1
        assert min(pauses) < 0.05

    async def test_counts_again_when_it_goes_on(self, redis: RedisServer) -> None:
        limits = Limits(enabled=True, redis_url=redis.url)
        with redis.frozen():
            assert await limits.request(USER, "thawed") == Verdict()
        await asyncio.sleep(1.05)  # it is left alone for so long
        for _ in range(20):
            verdict = await limits.request(USER, "thawed")
            if verdict != Verdict():
                break
            await asyncio.sleep(0.2)
        assert verdict.usages
        limits.close()


class TestHeaders:
    def test_are_those_of_the_draft_and_whole_numbers(self) -> None:
        now = time.time()
        verdict = Verdict((Usage(3, 1, 2, now + 0.4, "second"), Usage(5, 60, 1, now + 30.2, "minute")))
        sent = dict(headers(verdict, USER))
        assert sent[b"ratelimit-policy"] == b'"second";q=3;w=1, "minute";q=5;w=60'
        assert sent[b"ratelimit"] == b'"second";r=2;t=1, "minute";r=1;t=31'
        assert (sent[b"x-ratelimit-limit"], sent[b"x-ratelimit-remaining"]) == (b"5", b"1")
        assert sent[b"x-ratelimit-reset"].isdigit()
        assert b"retry-after" not in sent

    def test_a_refusal_says_when_to_come_back(self) -> None:
        problem = refusal(Verdict(refused=Usage(5, 60, 0, time.time() + 12.3, "minute"), by=USER))
        assert problem.extra_headers == {"Retry-After": "13"}
        assert problem.members == {"limit": 5, "window_s": 60}


async def _longest_pause(seconds: float) -> float:
    """How long the loop let a task of a millisecond wait at most."""
    end, longest = time.perf_counter() + seconds, 0.0
    while time.perf_counter() < end:
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - begun)
    return longest
