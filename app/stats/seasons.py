"""Season matching: a bucket is compared with the past of its own hour of the day, or of the week.

What differs between the hours is then no evidence, whatever its shape; exchangeability is asked for within a slot only.
"""

POOLED, DAY, WEEK = 1, 24, 168  # slots of an hour

_HOUR_US = 3_600_000_000
_FIRST_MONDAY_H = 96  # 1 January 1970 was a Thursday


def season_for(history_hours: float) -> int:
    """How fine a season the history allows: by hour of the week from four weeks, of the day from one week.

    >>> season_for(30), season_for(7 * 24), season_for(28 * 24)
    (1, 24, 168)
    """
    if history_hours >= 4 * WEEK:
        return WEEK
    return DAY if history_hours >= WEEK else POOLED


def slot_of(start_us: int, season: int, hours: int = 1) -> int:
    """The slot of a bucket of `hours` that starts at `start_us` (UTC); hour 0 of the week is Monday 00:00.

    >>> slot_of(0, WEEK), slot_of(0, DAY), slot_of(5 * _HOUR_US, DAY, hours=4), slot_of(0, POOLED)
    (72, 0, 1, 0)
    """
    if season != POOLED and season % hours:
        raise ValueError(f"hours: buckets of {hours} h do not divide a season of {season} h")
    hour = start_us // _HOUR_US - _FIRST_MONDAY_H
    return int(hour % season // hours) if season != POOLED else 0


def slots_of(season: int, hours: int = 1) -> int:
    """
    >>> slots_of(DAY, 4), slots_of(POOLED, 4)
    (6, 1)
    """
    return max(1, season // hours)
