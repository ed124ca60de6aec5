"""Lists of plain Python values, whose types are known to be right, to the arrays of a batch."""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from app.tracking.batch import MISSING, Coded, Numbers, Text

Label = str | int | bool | None

BOOLEANS = ("false", "true")
_FIRST, _NONE = np.zeros(1, np.int32), Coded(np.array([MISSING], np.int32), ())  # a column of one row; never written to
_TEXTS = {str, type(None)}
_BOOLEAN_CODES = {None: MISSING, False: 0, True: 1}
# 10^128 takes 426 bits: a whole number beyond is longer than any name may be, and slow to write out
_MAX_BITS = 426


def text(values: Sequence[str]) -> Text:
    """One buffer; the strings hold no lone surrogates."""
    if len(values) == 1:
        data = values[0].encode()
        return Text(data, np.array((0, len(data)), np.int64))
    joined = "".join(values)
    data = joined.encode()
    if len(data) == len(joined):
        return Text(data, offsets_of(map(len, values), len(values)))
    parts = [value.encode() for value in values]
    return Text(data, offsets_of(map(len, parts), len(parts)))


def offsets_of(lengths: Iterable[int], n: int) -> NDArray[np.int64]:
    """Where each of n texts starts, and where the last ends."""
    starts: NDArray[np.int64] = np.fromiter(chain((0,), lengths), np.int64, n + 1)
    return np.cumsum(starts, out=starts)


def coded(values: Sequence[str | None]) -> Coded:
    """The distinct values in the order in which they first appear."""
    if len(values) == 1:
        value = values[0]
        return _NONE if value is None else Coded(_FIRST, (value,))
    codes = dict.fromkeys(values, MISSING)
    names = tuple(value for value in codes if value is not None)
    codes.update(zip(names, range(len(names)), strict=True))
    return Coded(np.fromiter(map(codes.__getitem__, values), np.int32, len(values)), names)


def booleans(values: Sequence[bool | None]) -> Coded:
    """Truth as two categories that are always both there."""
    return Coded(np.fromiter(map(_BOOLEAN_CODES.__getitem__, values), np.int32, len(values)), BOOLEANS)


def canonical(values: Sequence[Label]) -> Sequence[str | None]:
    """Labels as text: 1 is "1", true is "true".

    >>> canonical(["1", 1, True, None])
    ['1', '1', 'true', None]
    """
    if set(map(type, values)) <= _TEXTS:
        return values  # type: ignore[return-value]  # just looked at
    return [_name(value) for value in values]


def _name(value: Label) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return BOOLEANS[value]
    return str(value) if value.bit_length() <= _MAX_BITS else "9" * 129


def number_feature(column: NDArray[np.float64]) -> Numbers | None:
    """NaN is missing; None where no row has a value."""
    missing = np.isnan(column)
    if not missing.any():
        return Numbers(column)
    return None if missing.all() else Numbers(column, ~missing)


def number_features(names: Sequence[str], rows: NDArray[np.float64]) -> dict[str, Numbers]:
    """The columns of an (n, k) matrix, each contiguous; those that no row has are left out."""
    columns = np.ascontiguousarray(rows.T)
    if not np.isnan(columns).any():
        return dict(zip(names, map(Numbers, columns), strict=True))
    found = ((name, number_feature(column)) for name, column in zip(names, columns, strict=True))
    return {name: column for name, column in found if column is not None}


def present(column: Coded) -> Coded | None:
    """None where no row has a value."""
    return column if (column.codes != MISSING).any() else None
