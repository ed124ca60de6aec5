"""Rate limits: slowapi's `Limiter` counts, this module asks it without ever stopping the event loop.

slowapi's own middlewares skip the routes of included routers, so the guards ask here instead. Counts live in memory, or
in Redis when several processes share them; that is asked once for all windows (`windows`). A store that gives no answer
within 100 ms is left alone for a second; what then happens is the caller's choice (`closed`).
"""

import asyncio
import math
import re
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from slowapi import Limiter

from app.core import telemetry
from app.core.errors import RETRY_AFTER, Problem, Unavailable
from app.core.windows import RedisWindows, Window, free_after

log = structlog.get_logger()

STORE_TIMEOUT_S = 0.08  # leaves 20 ms of the 100 ms that a slow store may cost
REST_S = 1.0  # how long a store is not asked again after it failed
_THREADS = 8
_SWEEP_S = 10.0
EXACT_UP_TO = 10_000  # a moving window keeps a moment for each request: about 64 bytes
AHEAD = 10_000  # small amounts are taken from the store in parts of this many to the limit
AHEAD_S = 1.0  # how long such a part may be used
KEYS = 10_000  # whose parts are kept
_EXACT, _COUNTERS = "MovingWindowRateLimiter", "SlidingWindowCounterRateLimiter"  # in keys
_CREDENTIALS = re.compile(r"//[^@/]*@")


class TooManyRequests(Problem):
    """A limit is used up.

    `Retry-After` says in how many seconds to try again; `limit` and `window_s` name the limit.
    """

    status = 429
    carries = RETRY_AFTER


class LargerThanLimit(Problem):
    """The batch has more rows than its limit ever lets through.

    Send several; `limit` says how many rows one may have, `window_s` in how many seconds so many may be sent.
    """

    status = 413


@dataclass(frozen=True, slots=True)
class Usage:
    """What is left of one limit."""

    limit: int
    window_s: int
    remaining: int
    reset_at: float  # seconds since the epoch
    name: str

    def with_more(self, n: int) -> "Usage":
        return Usage(self.limit, self.window_s, self.remaining + n, self.reset_at, self.name)

    @property
    def reset_in(self) -> int:
        return max(0, math.ceil(self.reset_at - time.time()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused` is what is used up, of the limit `by`; None: go on. No `usages` where the store gave no answer."""

    usages: tuple[Usage, ...] = ()
    refused: Usage | None = None
    by: "Limit | None" = None
    free_at: float = 0.0  # when as much as was asked for passes; 0: when `refused` has anything left


_Of = tuple["Limit", Window]


@dataclass(slots=True)
class _Part:
    """Of a limit, taken from the store ahead of need: a busy sender of single rows asks it once for many."""

    left: int
    until: float  # monotonic
    usages: tuple[Usage, ...]

    def verdict(self) -> Verdict:
        return Verdict(tuple([usage.with_more(self.left) for usage in self.usages]))


class SweptMemory(MemoryStorage):
    """Forgets what has expired every ten seconds. Its base would start a thread for that a hundred times a second,
    which costs more than all counting; nothing that has expired is ever counted, swept or not."""

    STORAGE_SCHEME = ["swept"]  # noqa: RUF012  the base has it so; found by it: `swept://`

    def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802  the base's name for it
        if not self.timer.is_alive():
            self.timer = threading.Timer(_SWEEP_S, self._MemoryStorage__expire_events)  # type: ignore[attr-defined]
            self.timer.daemon = True  # or the process would end no sooner
            self.timer.start()


class Limit:
    """One set of limits that are counted together under a name: "100/minute;10/second"."""

    def __init__(self, name: str, spec: str, *, named: bool = False) -> None:
        self.name = name
        self._named = named
        items = sorted(parse_many(spec), key=RateLimitItem.get_expiry)
        self.items: tuple[RateLimitItem, ...] = tuple(items)  # the short window first
        self.tightest = min(items, key=lambda item: item.amount)  # no more than its amount ever passes at once
        self.ahead = self.tightest.amount // AHEAD
        self.exact = all(item.amount <= EXACT_UP_TO for item in items)
        self.policy = ", ".join(f'"{self.called(item)}";q={item.amount};w={item.get_expiry()}' for item in items)

    def called(self, item: RateLimitItem) -> str:
        """A window's name in headers. Log-ins are told of two limits at once, so theirs say whose they are."""
        return f"{self.name}-{item.GRANULARITY.name}" if self._named else item.GRANULARITY.name


class Limits:
    """All limits of a process. Windows of requests are exact; amounts of rows, and limits so high that remembering
    every request would cost more than it is worth, are two counters."""

    def __init__(self, *, enabled: bool, redis_url: str | None = None) -> None:
        self._enabled = enabled
        self._remote = redis_url is not None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="limits") if self._remote else None
        self._rest_until = 0.0
        self._parts: dict[tuple[str, str], _Part] = {}  # limit, key
        self._requests = _limiter("moving-window", redis_url)
        self._amounts = _limiter("sliding-window-counter", redis_url)
        self._windows = RedisWindows(self._requests._storage) if self._remote else None

    @property
    def enabled(self) -> bool:
        return self._enabled

    @property
    def shared(self) -> bool:
        """Whether several processes count together."""
        return self._remote

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def request(self, limit: Limit, key: str, *, closed: bool = False) -> Verdict:
        """Counts one request, unless a limit is used up: a refused request counts nowhere."""
        return await self.requests([(limit, key)], closed=closed)

    async def requests(self, asked: Sequence[tuple[Limit, str]], *, closed: bool = False) -> Verdict:
        """As `request`, of several limits at once: one question, and one deadline."""
        windows = [each for limit, key in asked for each in _windows(limit, key, exact=limit.exact)]
        return await self._ask(lambda: self._take(windows, 1), closed)

    async def amount(self, limit: Limit, key: str, amount: int) -> Verdict:
        """Counts `amount` at once (rows); two counters make the window, so the cost does not grow with the amount.

        Small amounts are taken from the store in parts of a ten thousandth of the limit; what of a part is not used
        within a second is lost. Raises `LargerThanLimit`.
        """
        part = self._parts.get((limit.name, key))
        if part is not None and part.left >= amount and time.monotonic() < part.until:
            part.left -= amount
            return part.verdict()
        if amount > limit.tightest.amount and self._enabled:
            raise _larger(amount, limit.tightest)
        ahead = limit.ahead if amount < limit.ahead else 0
        windows = _windows(limit, key, exact=False)
        verdict = await self._ask(lambda: self._take(windows, amount + ahead))
        if not ahead or not self._enabled:
            return verdict
        if verdict.refused is not None:
            return await self._ask(lambda: self._take(windows, amount))
        return self._parted((limit.name, key), _Part(ahead, time.monotonic() + AHEAD_S, verdict.usages))

    def _parted(self, key: tuple[str, str], part: _Part) -> Verdict:
        if len(self._parts) >= KEYS:
            self._parts.clear()
        self._parts[key] = part
        return part.verdict()

    async def alive(self) -> bool:
        """Whether the store answers; memory always does."""
        if self._pool is None:
            return True
        loop = asyncio.get_running_loop()
        try:
            return bool(await asyncio.wait_for(loop.run_in_executor(self._pool, self._ping), STORE_TIMEOUT_S * 2))
        except TimeoutError:
            return False

    def _ping(self) -> bool:
        return bool(self._requests._storage.check())

    async def _ask(self, take: Callable[[], Verdict], closed: bool = False) -> Verdict:
        if not self._enabled:
            return Verdict()
        if self._pool is None:
            return take()
        if time.monotonic() >= self._rest_until:
            future = asyncio.get_running_loop().run_in_executor(self._pool, take)
            try:
                return await asyncio.wait_for(future, STORE_TIMEOUT_S)
            except Exception as error:  # whatever the store does, requests go on
                self._failed(error)
        if closed:
            raise Unavailable("attempts can't be counted just now; try again", headers={"Retry-After": "1"})
        return Verdict()

    def _take(self, windows: Sequence[_Of], cost: int) -> Verdict:
        """Tests all, then takes from all: what is refused by the short window uses nothing up of the long one."""
        if self._windows is None:
            return self._taken_here(windows, cost)
        left, place, free_at = self._windows.take([window for _, window in windows], cost)
        usages = tuple([_usage(of, *each) for of, each in zip(windows, left, strict=True)])
        return Verdict(usages) if place is None else Verdict((), usages[place], windows[place][0], free_at)

    def _taken_here(self, windows: Sequence[_Of], cost: int) -> Verdict:
        """From memory. A single window is taken from at once: that tests and counts in one step."""
        for of in windows if len(windows) > 1 else ():
            if not self._counting(of[1]).test(of[1].item, *of[1].identifiers, cost=cost):
                return self._refused_here(of, windows, cost)
        for of in windows:
            if not self._counting(of[1]).hit(of[1].item, *of[1].identifiers, cost=cost):
                return self._refused_here(of, windows, cost)
        return Verdict(tuple([self._stats(*each) for each in windows]))

    def _refused_here(self, by: _Of, windows: Sequence[_Of], cost: int) -> Verdict:
        return Verdict((), self._stats(*by), by[0], max(self._free_at(of, cost) for of in windows))

    def _free_at(self, of: _Of, cost: int) -> float:
        item, identifiers, exact = of[1]
        if exact:
            usage = self._stats(*of)
            return 0.0 if usage.remaining >= cost else usage.reset_at
        state = self._counting(of[1]).storage.get_sliding_window(item.key_for(*identifiers), item.get_expiry())
        return time.time() + free_after(cost, item, *state)

    def _stats(self, limit: Limit, window: Window) -> Usage:
        reset_at, remaining = self._counting(window).get_window_stats(window.item, *window.identifiers)
        return _usage((limit, window), remaining, reset_at)

    def _counting(self, window: Window) -> Any:
        return (self._requests if window.exact else self._amounts).limiter

    def _failed(self, error: Exception) -> None:
        self._rest_until = time.monotonic() + REST_S
        telemetry.LIMIT_STORE_FAILURES.inc()
        log.warning("the store of the limits gives no answer", error=_CREDENTIALS.sub("//", repr(error))[:200])


def _limiter(strategy: str, redis_url: str | None) -> Limiter:
    options: dict[str, Any] = {}
    if redis_url is not None:
        options = {"socket_timeout": STORE_TIMEOUT_S / 2, "socket_connect_timeout": STORE_TIMEOUT_S / 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that the file "" does not exist
        return Limiter(
            key_func=lambda: "",
            strategy=strategy,
            storage_uri=redis_url or "swept://",
            storage_options=options,
            config_filename="",  # else it would read RATELIMIT_* from a .env of the working directory
        )


def _windows(limit: Limit, key: str, *, exact: bool) -> list[_Of]:
    identifiers = ("assay", _EXACT if exact else _COUNTERS, limit.name, key)  # two strategies never share a counter
    return [(limit, Window(item, identifiers, exact)) for item in limit.items]


def _usage(of: _Of, remaining: float, reset_at: float) -> Usage:
    limit, (item, _, _) = of
    return Usage(item.amount, item.get_expiry(), max(0, int(remaining)), float(reset_at), limit.called(item))


def _larger(amount: int, item: RateLimitItem) -> LargerThanLimit:
    most, seconds = item.amount, item.get_expiry()
    return LargerThanLimit(
        f"{amount} rows never pass a limit of {most} in {seconds} s; send them in parts", limit=most, window_s=seconds
    )


def headers(verdict: Verdict, *limits: Limit) -> list[tuple[bytes, bytes]]:
    """`RateLimit` and `RateLimit-Policy` (draft 10), and the older three as integers, for the tightest window."""
    usages = verdict.usages or ((verdict.refused,) if verdict.refused else ())
    if not usages:
        return []
    tight = usages[0] if len(usages) == 1 else min(usages, key=lambda usage: usage.remaining / usage.limit)
    left = ", ".join(f'"{usage.name}";r={usage.remaining};t={usage.reset_in}' for usage in usages)
    return [
        (b"ratelimit-policy", ", ".join([limit.policy for limit in limits]).encode()),
        (b"ratelimit", left.encode()),
        (b"x-ratelimit-limit", str(tight.limit).encode()),
        (b"x-ratelimit-remaining", str(tight.remaining).encode()),
        (b"x-ratelimit-reset", str(round(tight.reset_at)).encode()),
    ]


def refusal(verdict: Verdict) -> TooManyRequests:
    """The 429 of a verdict that has a limit used up."""
    used_up, by = verdict.refused, verdict.by
    if used_up is None or by is None:
        raise ValueError("verdict: nothing is used up")
    telemetry.LIMITED.labels(by.name).inc()
    wait = max(1, used_up.reset_in, math.ceil(verdict.free_at - time.time()))
    return TooManyRequests(
        f"the limit of {used_up.limit} in {used_up.window_s} s is used up; try again in {wait} s",
        headers={"Retry-After": str(wait)},
        limit=used_up.limit,
        window_s=used_up.window_s,
    )
