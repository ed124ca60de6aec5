"""Which buckets a series has: intervals, their limits, and what to ask for instead."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.analytics.errors import TooManyPoints, UnusableWindow
from app.core.clock import HOUR, SECOND, rfc3339
from app.core.errors import Place

Ints = NDArray[np.int64]

MAX_POINTS = 2000  # about one per pixel of a wide screen; a year of hours is asked for in parts or in days
MINUTES_KEPT_US = 48 * HOUR  # the minute grain is folded for the last two days only


class Bucket(StrEnum):
    """The width of a point."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        return _SECONDS[self]

    @property
    def us(self) -> int:
        return _SECONDS[self] * SECOND


_SECONDS = {Bucket.MINUTE: 60, Bucket.HOUR: 3600, Bucket.DAY: 86_400}


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open span of whole buckets, `[from_us, to_us)`; None is open."""

    bucket: Bucket
    from_us: int | None
    to_us: int | None


def window(bucket: Bucket, from_us: int | None, to_us: int | None, *, now_us: int) -> Window:
    """The whole buckets that `from` and `to` touch; refuses one that is upside down or no longer kept.

    Minutes without `from` are the last `MAX_POINTS`.
    """
    upright(from_us, to_us)
    if bucket is Bucket.MINUTE:
        from_us = _within_minutes(from_us, to_us, now_us)
    return Window(
        bucket,
        None if from_us is None else from_us // bucket.us * bucket.us,
        None if to_us is None else -(-to_us // bucket.us) * bucket.us,
    )


def widened(narrow: Window, bucket: Bucket) -> Window:
    """The same span in wider buckets, whole ones again."""
    return window(bucket, narrow.from_us, narrow.to_us, now_us=0)


def upright(from_us: int | None, to_us: int | None) -> None:
    """Refuses a window that ends before it begins."""
    if from_us is not None and to_us is not None and from_us >= to_us:
        raise UnusableWindow(
            f"from ({rfc3339(from_us)}) must be before to ({rfc3339(to_us)})",
            places=[Place("/query/from", "not_before_to", "must be before `to`")],
        )


def latest_minutes(end_us: int) -> int:
    """The start of as many whole minutes as a series may have, the last of which holds the moment before the end."""
    return (-(-end_us // Bucket.MINUTE.us) - MAX_POINTS) * Bucket.MINUTE.us


def _within_minutes(from_us: int | None, to_us: int | None, now_us: int) -> int:
    oldest = now_us - MINUTES_KEPT_US
    if to_us is not None and to_us <= oldest:
        raise _gone("to", oldest)
    if from_us is None:
        return max(oldest, latest_minutes(now_us + 1 if to_us is None else min(to_us, now_us + 1)))
    if from_us < oldest - Bucket.MINUTE.us:
        raise _gone("from", oldest)
    return from_us


def _gone(name: str, oldest_us: int) -> UnusableWindow:
    return UnusableWindow(
        f"minutes are kept for 48 h, now from {rfc3339(oldest_us)}; ask for interval=hour or a later {name}",
        places=[Place(f"/query/{name}", "minutes_gone", "older than 48 h; interval=hour reaches back further")],
    )


def bounded(bucket: Bucket, starts_us: Ints | range) -> None:
    """Refuses more than `MAX_POINTS` buckets (their starts, ascending), naming the mend.

    A `range` is counted, not gone through: it may stand for milliards of buckets.
    """
    if len(starts_us) <= MAX_POINTS:
        return
    fits = finest(starts_us, MAX_POINTS)
    mend = f"interval={fits}" if fits else "a narrower from and to"
    raise TooManyPoints(
        f"{len(starts_us):,} points of one {bucket} are more than {MAX_POINTS:,}; ask for {mend}",
        places=[Place("/query/interval", "too_many_points", f"at most {MAX_POINTS:,} points; ask for {mend}")],
        interval=fits,
    )


def finest(starts_us: Ints | range, points: int) -> Bucket | None:
    """The finest of hour and day in which these buckets are at most `points`; None when days are too many."""
    return next((wider for wider in (Bucket.HOUR, Bucket.DAY) if _counted(starts_us, wider.us) <= points), None)


def _counted(starts_us: Ints | range, width_us: int) -> int:
    """How many buckets of this width they touch."""
    if isinstance(starts_us, range):
        return starts_us[-1] // width_us - starts_us[0] // width_us + 1
    return int(np.count_nonzero(np.diff(starts_us // width_us))) + 1
