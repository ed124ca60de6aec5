"""Windows of limits in Redis: all of one question are tested and taken from in one round trip.

`limits` asks a store for each window by itself, three times. Its keys and what they hold are kept, so processes of
either kind count together.
"""

import time
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

from limits import RateLimitItem

CLOCK_S = 0.002  # less than a limit is not as much, and Redis counts in milliseconds

# As the scripts of `limits` (resources/redis/lua_scripts): a list of moments, the newest first, or two counters.
_SCRIPT = """
local now, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local found, refused = {}, 0

local function exact(key, amount, seconds)
    local low, high, last = 0, amount - 1, -1
    while low <= high do
        local middle = math.floor((low + high) / 2)
        local moment = tonumber(redis.call('lindex', key, middle))
        if moment and moment >= now - seconds then
            last = middle
            low = middle + 1
        else
            high = middle - 1
        end
    end
    local oldest = last >= 0 and redis.call('lindex', key, last) or ARGV[1]
    return last + 1, {oldest, last + 1}
end

local function counters(before, key, seconds)
    local ttl = redis.call('pttl', key)
    if ttl == 0 then  -- it ends within this millisecond; till then it would count in full
        redis.call('del', key)
    elseif ttl > 0 and ttl < seconds * 1000 then
        redis.call('rename', key, before)
        redis.call('set', key, 0, 'PX', ttl + seconds * 1000)
    end
    local state = {}
    for _, name in ipairs({before, key}) do
        state[#state + 1] = tonumber(redis.call('get', name)) or 0
        state[#state + 1] = math.max(0, redis.call('pttl', name))
    end
    return math.floor(state[1] * state[2] / (seconds * 1000)) + state[3], state
end

local function window(n)
    return KEYS[2 * n - 1], KEYS[2 * n], ARGV[3 * n] == 'exact', tonumber(ARGV[3 * n + 1]), tonumber(ARGV[3 * n + 2])
end

for n = 1, #KEYS / 2 do
    local before, key, is_exact, amount, seconds = window(n)
    local used, state
    if is_exact then
        used, state = exact(key, amount, seconds)
    else
        used, state = counters(before, key, seconds)
    end
    found[n] = state
    if used + cost > amount and refused == 0 then
        refused = n
    end
end

if refused > 0 then
    return {refused, unpack(found)}
end

for n = 1, #KEYS / 2 do
    local before, key, is_exact, amount, seconds = window(n)
    if is_exact then
        for _ = 1, cost do
            redis.call('lpush', key, ARGV[1])
        end
        redis.call('ltrim', key, 0, amount - 1)
        redis.call('expire', key, seconds)
        found[n][2] = found[n][2] + cost
    else
        if redis.call('exists', key) == 1 then
            redis.call('incrby', key, cost)
        else
            redis.call('set', key, cost, 'PX', seconds * 2000)
        end
        found[n][3] = found[n][3] + cost
        found[n][4] = math.max(0, redis.call('pttl', key))
    end
end
return {0, unpack(found)}
"""


class Window(NamedTuple):
    """`exact`: it remembers the moment of each request; else two counters are enough."""

    item: RateLimitItem
    identifiers: tuple[str, ...]
    exact: bool


class Left(NamedTuple):
    """Of a window; `reset_at` in seconds since the epoch."""

    remaining: int
    reset_at: float


class Taken(NamedTuple):
    """What is left of all windows; and where nothing was taken, the place of the first that is used up, and when so
    much is free in all of them, in seconds since the epoch."""

    left: list[Left]
    refused: int | None = None
    free_at: float = 0.0


class RedisWindows:
    """Blocks; for threads."""

    def __init__(self, storage: Any) -> None:
        self._prefixed = storage.prefixed_key
        self._script = storage.get_connection().register_script(_SCRIPT)

    def take(self, windows: Sequence[Window], cost: int) -> Taken:
        now = time.time()
        keys: list[str] = []
        arguments: list[object] = [now, cost]
        for window in windows:
            keys += self._keys(window)
            arguments += ["exact" if window.exact else "counters", window.item.amount, window.item.get_expiry()]
        refused, *states = self._script(keys, arguments)
        left = [_left(window, state, now) for window, state in zip(windows, states, strict=True)]
        if not refused:
            return Taken(left)
        waits = [_free_in(window, state, now, cost) for window, state in zip(windows, states, strict=True)]
        return Taken(left, int(refused) - 1, now + max(waits))

    def _keys(self, window: Window) -> tuple[str, str]:
        key = window.item.key_for(*window.identifiers)
        if window.exact:
            return self._prefixed(key), self._prefixed(key)
        return self._prefixed(f"{{{key}}}/-1"), self._prefixed(f"{{{key}}}")


def _left(window: Window, state: Sequence[Any], now: float) -> Left:
    amount, seconds = window.item.amount, window.item.get_expiry()
    if window.exact:
        return Left(max(0, amount - int(state[1])), float(state[0]) + seconds)
    before, before_ms, count, count_ms = map(int, state)
    used = before * before_ms // (seconds * 1000) + count
    one_less = before_ms / 1000 % (seconds / before) if before else inf
    ended = count_ms / 1000 - seconds if count else inf  # a counter lives as long again as its window
    reset_in = min(one_less, ended)
    return Left(max(0, amount - used), now + (reset_in if before or count else 0.0))


def _free_in(window: Window, state: Sequence[Any], now: float, cost: int) -> float:
    if window.exact:
        remaining, reset_at = _left(window, state, now)
        return 0.0 if remaining >= cost else reset_at - now
    before, before_ms, count, count_ms = map(int, state)
    return free_after(cost, window.item, before, before_ms / 1000, count, count_ms / 1000)


def free_after(cost: int, item: RateLimitItem, before: int, before_s: float, count: int, count_s: float) -> float:
    """In how many seconds two counters let `cost` through, if nothing is taken meanwhile.

    `before` counts by the part of its window that is left, rounded down; when the window of `count` ends, that is the
    one before. `cost` is no more than the window's amount.
    """
    seconds, free = item.get_expiry(), item.amount - cost + 1  # used must be less than this
    if count < free:
        wait = before_s - seconds * (free - count) / before if before else -CLOCK_S
    else:
        wait = count_s - seconds + max(0.0, seconds - seconds * free / count)
    return max(0.0, wait + CLOCK_S)
