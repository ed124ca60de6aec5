"""When a row arrived, and the place it got by that: `place = block << 16 | row`, `block = second << 16 | sequence`.

Places are ordered by arrival, so the day of a place is known without looking, and raw rows are partitioned and dropped
by it. Seconds count from 2020, so that a place stays positive until 2088.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from app.core.clock import DAY, SECOND, from_datetime, to_datetime

ROW_BITS = 16
SEQUENCE_BITS = 16
ROWS_PER_BLOCK = 1 << ROW_BITS
STUB = -1  # the place of a key whose prediction has not come yet

_START_US = from_datetime(datetime(2020, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Arrival:
    """The moment a transaction read the clock, after it had taken its transaction id (`xid`)."""

    xid: int
    us: int
    sequence: int

    @property
    def block_id(self) -> int:
        return first_block(self.us) | self.sequence % (1 << SEQUENCE_BITS)

    @property
    def first_place(self) -> int:
        return self.block_id << ROW_BITS


def first_block(us: int) -> int:
    """The lowest block that can arrive in the second of `us`: a bound of the partitions of `block`."""
    return (us - _START_US) // SECOND << SEQUENCE_BITS


def first_place(us: int) -> int:
    """The lowest place that can arrive in the second of `us`: a bound of `label`'s partitions and of retention."""
    return first_block(us) << ROW_BITS


def split(place: int) -> tuple[int, int]:
    """Block and row of a place."""
    return place >> ROW_BITS, place & (ROWS_PER_BLOCK - 1)


def day_of(us: int) -> str:
    """The suffix of the partitions of that day: `block_20260302`."""
    return to_datetime(us // DAY * DAY).strftime("%Y%m%d")
