"""Times and spans in words. Everything on the pages is UTC and says so."""

from datetime import UTC, datetime

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def _parsed(moment: datetime | str) -> datetime:
    return (moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)).astimezone(UTC)


def moment(text: str) -> str:
    """
    >>> moment("2026-01-03T04:05:00Z")
    '3 Jan 2026 04:05'
    """
    when = _parsed(text)
    return f"{when.day} {when:%b %Y %H:%M}"


def field_time(text: datetime | str | None) -> str:
    """What a `datetime-local` field takes.

    >>> field_time("2026-01-03T04:05:06Z"), field_time(None)
    ('2026-01-03T04:05', '')
    """
    return "" if text is None else f"{_parsed(text):%Y-%m-%dT%H:%M}"


def stretch(first_s: int, last_s: int) -> str:
    """From the day of the first bucket to that of the last, both in seconds since the epoch.

    >>> stretch(1767398400, 1770076800), stretch(1767222000, 1767240000)
    ('3 Jan to 3 Feb 2026', '31 Dec 2025 to 1 Jan 2026')
    """
    start, end = datetime.fromtimestamp(first_s, UTC), datetime.fromtimestamp(last_s, UTC)
    closing = f"{end.day} {end:%b %Y}"
    if start.date() == end.date():
        return closing
    return f"{start.day} {start:%b}{'' if start.year == end.year else f' {start:%Y}'} to {closing}"


def lasting(seconds: float | None) -> str:
    """
    >>> [lasting(s) for s in (None, 40, 5400, 90000, 400000)]
    ['–', '40 s', '90 min', '25 h', '5 d']
    """
    if seconds is None:
        return "–"
    for unit, name in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
