"""PostgreSQL's binary COPY form, built by numpy: rows of one layout are one structured array, written out as it is."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import to_datetime

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TAIL = b"\xff\xff"
POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01, where the server's timestamps count from
POSTGRES_EPOCH = to_datetime(POSTGRES_EPOCH_US)

Column = NDArray[Any] | None


def rows(columns: Sequence[Column]) -> bytes:
    """n rows without head and tail; each column an array of n numbers or byte strings (`S`), or None: all null."""
    layout = _layout(tuple(None if column is None else column.dtype.str for column in columns))
    records = np.empty(next(len(column) for column in columns if column is not None), layout)
    records["fields"] = len(columns)
    for number, column in enumerate(columns):
        if column is None:
            records[f"length{number}"] = -1
            continue
        kind = layout[f"value{number}"]
        records[f"length{number}"] = kind.itemsize
        # by way of void, byte strings keep their trailing zeros
        records[f"value{number}"] = column.view(kind) if kind.kind == "V" else column
    return records.tobytes()


def moments(us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Microseconds since the Unix epoch as the server counts them."""
    return us - POSTGRES_EPOCH_US


def opaque(matrix: NDArray[np.float64]) -> NDArray[np.bytes_]:
    """The rows of a matrix as byte strings of little-endian float64."""
    return np.ascontiguousarray(matrix, "<f8").view(f"S{8 * matrix.shape[1]}")[:, 0]


def matrix(values: Sequence[bytes | None], width: int) -> NDArray[np.float64]:
    """The inverse of `opaque`; missing values are rows of NaN, narrow ones are filled up with NaN to `width`."""
    found = np.full((len(values), width), np.nan)
    for row, value in zip(found, values, strict=True):
        if value is not None:
            row[: len(value) // 8] = np.frombuffer(value, "<f8")
    return found


@lru_cache(maxsize=256)
def _layout(dtypes: tuple[str | None, ...]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for number, dtype in enumerate(dtypes):
        fields.append((f"length{number}", ">i4"))
        if dtype is not None:
            fields.append((f"value{number}", f"V{dtype[2:]}" if dtype[1] == "S" else f">{dtype[1:]}"))
    return np.dtype(fields)
