"""Rate limits: slowapi's `Limiter` counts, this module asks it without ever stopping the event loop.

slowapi's own middlewares skip the routes of included routers, so the guards ask here instead. Counts live in memory, or
in Redis when several processes share them. A store that gives no answer within 100 ms is left alone for a second;
what then happens is the caller's choice (`closed`).
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
from typing import Any, ClassVar

import structlog
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from slowapi import Limiter

from app.core import telemetry
from app.core.errors import Problem, Unavailable

log = structlog.get_logger()

STORE_TIMEOUT_S = 0.08  # leaves 20 ms of the 100 ms that a slow store may cost
REST_S = 1.0  # how long a store is not asked again after it failed
_THREADS = 8
_SWEEP_S = 10.0
EXACT_UP_TO = 10_000  # a moving window keeps a moment for each request: about 64 bytes
AHEAD = 10_000  # small amounts are taken from the store in parts of this many to the limit
AHEAD_S = 1.0  # how long such a part may be used
KEYS = 10_000  # whose parts are kept
_CREDENTIALS = re.compile(r"//[^@/]*@")


class TooManyRequests(Problem):
    """A limit is used up.

    `Retry-After` says in how many seconds to try again; `limit` and `window_s` name the limit.
    """

    status = 429
    headers: ClassVar[dict[str, str]] = {}


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
    """`refused` is the limit that is used up; None: go on. `usages` is empty where the store gave no answer."""

    usages: tuple[Usage, ...] = ()
    refused: Usage | None = None


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

    def __init__(self, name: str, spec: str) -> None:
        self.name = name
        items = sorted(parse_many(spec), key=RateLimitItem.get_expiry)
        self.items: tuple[RateLimitItem, ...] = tuple(items)  # the short window first
        self.ahead = min(item.amount for item in items) // AHEAD
        self.exact = all(item.amount <= EXACT_UP_TO for item in items)
        self.policy = ", ".join(f'"{item.GRANULARITY.name}";q={item.amount};w={item.get_expiry()}' for item in items)


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
        counting = self._requests if limit.exact else self._amounts
        return await self._ask(lambda: _take(counting.limiter, limit, key, 1), closed=closed)

    async def amount(self, limit: Limit, key: str, amount: int) -> Verdict:
        """Counts `amount` at once (rows); two counters make the window, so the cost does not grow with the amount.

        Small amounts are taken from the store in parts of a ten thousandth of the limit; what of a part is not used
        within a second is lost.
        """
        part = self._parts.get((limit.name, key))
        if part is not None and part.left >= amount and time.monotonic() < part.until:
            part.left -= amount
            return part.verdict()
        ahead = limit.ahead if amount < limit.ahead else 0
        verdict = await self._ask(lambda: _take(self._amounts.limiter, limit, key, amount + ahead), closed=False)
        if not ahead or not self._enabled:
            return verdict
        if verdict.refused is not None:
            return await self._ask(lambda: _take(self._amounts.limiter, limit, key, amount), closed=False)
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

    async def _ask(self, take: Callable[[], Verdict], *, closed: bool) -> Verdict:
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


def _take(limiter: Any, limit: Limit, key: str, cost: int) -> Verdict:
    """Tests all, then takes from all: what is refused by the short window uses nothing up of the long one.

    A single window is taken from at once: the store tests and counts in one step.
    """
    identifiers = ("assay", limiter.__class__.__name__, limit.name, key)  # two strategies never share a counter
    for item in limit.items if len(limit.items) > 1 else ():
        if not limiter.test(item, *identifiers, cost=cost):
            return Verdict(refused=_usage(limiter, item, identifiers))
    for item in limit.items:
        if not limiter.hit(item, *identifiers, cost=cost):
            return Verdict(refused=_usage(limiter, item, identifiers))
    return Verdict(tuple(_usage(limiter, item, identifiers) for item in limit.items))


def _usage(limiter: Any, item: RateLimitItem, identifiers: Sequence[str]) -> Usage:
    reset_at, remaining = limiter.get_window_stats(item, *identifiers)
    return Usage(item.amount, item.get_expiry(), max(0, int(remaining)), float(reset_at), item.GRANULARITY.name)


def headers(limit: Limit, verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """`RateLimit` and `RateLimit-Policy` (draft 10), and the older three as integers, for the tightest window."""
    usages = verdict.usages or ((verdict.refused,) if verdict.refused else ())
    if not usages:
        return []
    tight = usages[0] if len(usages) == 1 else min(usages, key=lambda usage: usage.remaining / usage.limit)
    left = ", ".join(f'"{usage.name}";r={usage.remaining};t={usage.reset_in}' for usage in usages)
    return [
        (b"ratelimit-policy", limit.policy.encode()),
        (b"ratelimit", left.encode()),
        (b"x-ratelimit-limit", str(tight.limit).encode()),
        (b"x-ratelimit-remaining", str(tight.remaining).encode()),
        (b"x-ratelimit-reset", str(round(tight.reset_at)).encode()),
    ]


def refusal(limit: Limit, used_up: Usage) -> TooManyRequests:
    """The 429 for a limit that is used up."""
    telemetry.LIMITED.labels(limit.name).inc()
    wait = max(1, used_up.reset_in)
    return TooManyRequests(
        f"the limit of {used_up.limit} in {used_up.window_s} s is used up; try again in {wait} s",
        headers={"Retry-After": str(wait)},
        limit=used_up.limit,
        window_s=used_up.window_s,
    )
