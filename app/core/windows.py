"""Windows of limits in Redis: all of one question are tested and taken from in one round trip.

`limits` asks a store for each window by itself, three times. Its keys and what they hold are kept, so processes of
either kind count together.
"""

import time
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

from limits import RateLimitItem

# As the scripts of `limits` (resources/redis/lua_scripts): a list of moments, the newest first, or two counters.
_SCRIPT = """
local now, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local found = {}

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
    if ttl > 0 and ttl < seconds * 1000 then
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
    if used + cost > amount then
        return {n, state}
    end
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


class RedisWindows:
    """Blocks; for threads."""

    def __init__(self, storage: Any) -> None:
        self._prefixed = storage.prefixed_key
        self._script = storage.get_connection().register_script(_SCRIPT)

    def take(self, windows: Sequence[Window], cost: int) -> tuple[int | None, list[Left]]:
        """Of all, what is left; or the place of the one that is used up, and what is left of that: then nothing was
        taken from any."""
        now = time.time()
        keys: list[str] = []
        arguments: list[object] = [now, cost]
        for window in windows:
            keys += self._keys(window)
            arguments += ["exact" if window.exact else "counters", window.item.amount, window.item.get_expiry()]
        refused, *states = self._script(keys, arguments)
        place = int(refused) - 1 if refused else None
        asked = windows if place is None else [windows[place]]
        return place, [_left(window, state, now) for window, state in zip(asked, states, strict=True)]

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
