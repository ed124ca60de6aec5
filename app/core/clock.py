"""Time, handed in. All instants inside the service are int64 microseconds since the Unix epoch, UTC."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY = 86400 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where a slice takes the time from."""

    def now_us(self) -> int: ...


class SystemClock:
    """The machine's wall clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


class FrozenClock:
    """A clock that moves when told to; for tests and in-process replays."""

    def __init__(self, start_us: int) -> None:
        self._now = start_us

    def now_us(self) -> int:
        return self._now

    def advance(self, *, seconds: float) -> None:
        self._now += round(seconds * SECOND)

    def set(self, now_us: int) -> None:
        self._now = now_us


def to_datetime(us: int) -> datetime:
    """Exact, also beyond the range where float seconds lose microseconds."""
    return _EPOCH + timedelta(microseconds=us)


def from_datetime(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime; a naive one is refused."""
    if moment.tzinfo is None:
        raise ValueError("moment must carry a time zone")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def rfc3339(us: int) -> str:
    """`2026-01-01T00:00:00Z`, with microseconds only where there are some."""
    return to_datetime(us).isoformat().replace("+00:00", "Z")
