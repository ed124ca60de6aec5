"""RFC 3339 text to microseconds since the epoch, a whole column at once.

Rows of one length are read as a matrix of bytes (about 0.1 µs a row); what doesn't fit its first row's pattern, and
columns too short to be worth it, are read one by one (about 1 µs).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

FEW = 24  # below this many rows the fixed cost of the array road (about 60 µs) is more than that of single reads

_PATTERN = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
_SEPARATORS = {4: b"-", 7: b"-", 10: b"Tt", 13: b":", 16: b":"}
# (year, month, day, hour, minute, second) = _WEIGHTS @ digits; float32 holds whole numbers to 2^24
_WEIGHTS = np.zeros((6, 14), np.float32)
_WEIGHTS[0, :4] = 1000, 100, 10, 1
for _field in range(1, 6):
    _WEIGHTS[_field, 2 + 2 * _field : 4 + 2 * _field] = 10, 1

_SECONDS = np.array([36_000, 3_600, 600, 60, 10, 1])  # of the digits of a time of day
_HIGHEST = np.array([2, 9, 5, 9, 5, 9], np.uint8)[:, None]

_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_MONTH_START = np.concatenate([[0, 0], np.cumsum(_MONTH_DAYS)[1:12]])
_EPOCH_DAY = 719_162  # days from 0001-01-01 to 1970-01-01


def parse_one(text: str) -> int | None:
    """Microseconds since the epoch, digits beyond them cut off; None where the text is not RFC 3339."""
    if not _PATTERN.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return (moment - _EPOCH) // _MICROSECOND


def parse(texts: Sequence[str]) -> tuple[NDArray[np.int64], list[int]]:
    """Times, and the rows that could not be read; 0 there."""
    n = len(texts)
    if n < FEW:
        return _each(texts)
    lengths = np.fromiter(map(len, texts), np.int64, n)
    joined = "".join(texts).encode(errors="replace")
    if len(joined) != lengths.sum():  # not ASCII: some row is not a timestamp
        return _each(texts)
    if (lengths == lengths[0]).all():
        times, good = _matrix(joined, n)
    else:
        times, good = _by_length(joined, lengths)
    if good.all():
        return times, []
    odd = np.flatnonzero(~good).tolist()
    times[odd], unread = _each([texts[row] for row in odd])
    return times, [odd[place] for place in unread]


def _each(texts: Sequence[str]) -> tuple[NDArray[np.int64], list[int]]:
    found = [parse_one(text) for text in texts]
    if None not in found:
        return np.array(found, np.int64), []
    times = np.array([0 if time is None else time for time in found], np.int64)
    return times, [row for row, time in enumerate(found) if time is None]


def _by_length(joined: bytes, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Python's isoformat drops a zero fraction, so a column usually has two lengths."""
    times, good = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.bool_)
    data = np.frombuffer(joined, np.uint8)
    ends = np.cumsum(lengths)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        if rows.size < FEW or length > 35:  # the longest timestamp: nine digits and an offset
            continue
        places = (ends[rows] - length)[:, None] + np.arange(length)
        times[rows], good[rows] = _matrix(data[places].tobytes(), rows.size)
    return times, good


def _matrix(joined: bytes, n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """n texts of one length; the first row's zone and fraction are taken to be everybody's."""
    columns = np.ascontiguousarray(np.frombuffer(joined, np.uint8).reshape(n, -1).T)
    width = len(columns)
    zone = 1 if width and columns[-1, 0] in b"Zz" else 6
    if not 19 + zone <= width <= 35:
        return np.zeros(n, np.int64), np.zeros(n, np.bool_)
    seconds, good = _seconds(columns[:19])
    times = seconds * 1_000_000
    if width - zone > 19:
        _add_fraction(columns[19 : width - zone], times, good)
    if zone == 1:
        good &= (columns[-1] == ord("Z")) | (columns[-1] == ord("z"))
    else:
        _subtract_offset(columns[-6:], times, good)
    return times, good


def _seconds(columns: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    day = parse_one(columns[:10, 0].tobytes().decode() + "T00:00:00Z")
    if day is not None and (columns[:10] == columns[:10, :1]).all():
        return _seconds_of_day(columns, day // 1_000_000)
    digits = columns[_DIGITS] - ord("0")  # wraps round below "0", so that one comparison tests both ends
    good: NDArray[np.bool_] = (digits <= 9).all(axis=0)
    for place, allowed in _SEPARATORS.items():
        fits = columns[place] == allowed[0]
        good &= fits | (columns[place] == allowed[1]) if len(allowed) > 1 else fits
    year, month, day, hour, minute, second = (_WEIGHTS @ digits.astype(np.float32)).astype(np.int64)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    good &= (month >= 1) & (month <= 12) & (year >= 1)
    month = np.where(good, month, 1)
    good &= (day >= 1) & (day <= _MONTH_DAYS[month] + (leap & (month == 2)))
    good &= (hour <= 23) & (minute <= 59) & (second <= 59)
    before = year - 1
    days = 365 * before + before // 4 - before // 100 + before // 400 - _EPOCH_DAY
    days += _MONTH_START[month] + (leap & (month > 2)) + day - 1
    return days * 86_400 + hour * 3_600 + minute * 60 + second, good


def _seconds_of_day(columns: NDArray[np.uint8], day: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """As `_seconds`, where all rows are of one day, as they are in ordinary traffic."""
    digits = columns[_DIGITS[8:]] - ord("0")
    good: NDArray[np.bool_] = (digits <= _HIGHEST).all(axis=0) & ~((digits[0] == 2) & (digits[1] > 3))
    good &= (columns[10] == ord("T")) | (columns[10] == ord("t"))
    good &= (columns[13] == ord(":")) & (columns[16] == ord(":"))
    return day + _SECONDS @ digits.astype(np.int64), good


def _add_fraction(columns: NDArray[np.uint8], times: NDArray[np.int64], good: NDArray[np.bool_]) -> None:
    digits = columns[1:] - ord("0")
    good &= (columns[0] == ord(".")) & (digits <= 9).all(axis=0)
    if not 1 <= len(digits) <= 9:
        good[:] = False
    for place, digit in enumerate(digits[:6]):
        times += digit.astype(np.int64) * 10 ** (5 - place)


def _subtract_offset(columns: NDArray[np.uint8], times: NDArray[np.int64], good: NDArray[np.bool_]) -> None:
    digits = (columns[[1, 2, 4, 5]] - ord("0")).astype(np.int64)
    hours, minutes = digits[0] * 10 + digits[1], digits[2] * 10 + digits[3]
    behind = columns[0] == ord("-")
    good &= (behind | (columns[0] == ord("+"))) & (columns[3] == ord(":"))
    good &= (digits <= 9).all(axis=0) & (hours <= 23) & (minutes <= 59)
    times -= np.where(behind, -60_000_000, 60_000_000) * (hours * 60 + minutes)
