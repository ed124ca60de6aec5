"""Arrow arrays → the arrays of a batch. Nothing is guessed: a column of a wrong type is a finding.

Buffers are read as they are: where pandas is installed, pyarrow's own `to_numpy` and `fill_null` load it first, which
takes seconds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import types

from app.tracking.batch import MISSING, Coded, Feature, Text
from app.tracking.decoding.reader import Path, Reader
from app.tracking.decoding.values import BOOLEANS, canonical, number_feature, present

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# In seconds. Years 1 to 9999: what RFC 3339 can say, and what the database can hold
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799
_SECOND = 1_000_000
_NO_ZONE = """must be timestamps with a time zone: name the one they are of, as by pandas' .dt.tz_localize("UTC")"""


def is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_name(kind: pa.DataType) -> bool:
    """Of labels: text, whole numbers, booleans, each also as a dictionary."""
    plain = kind.value_type if types.is_dictionary(kind) else kind
    return is_text(plain) or bool(types.is_integer(plain) or types.is_boolean(plain))


def is_category(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if types.is_dictionary(kind) else kind)


def is_number(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


class ArrowReader:
    """As `Reader`, of arrays; a null is a missing value."""

    def __init__(self) -> None:
        self._reader = Reader(typed=True)
        self.findings = self._reader.findings

    def numbers(self, array: pa.Array, path: Path, *, required: bool = False) -> NDArray[np.float64]:
        if not self._fits(array, path, is_number, "numbers"):
            return np.full(len(array), np.nan)
        if required:
            self._required(array, path)
        if array.type != pa.float64():
            array = array.cast(pa.float64(), safe=False)
        column: NDArray[np.float64] = _plain(array, np.float64, np.nan)
        if np.isfinite(column).all():
            return column
        odd = ~np.isfinite(column) & ~_missing(array)
        self.findings.where(odd, path, "not_finite", "must be a finite number; a missing one is null")
        return np.where(odd, np.nan, column) if odd.any() else column

    def texts(self, array: pa.Array, path: Path, *, required: bool = False) -> Text:
        if not self._fits(array, path, is_text, "text"):
            return Text(b"", np.zeros(len(array) + 1, np.int64))
        if required:
            self._required(array, path)
        if array.null_count:  # bytes may stand behind a null
            return self._reader.texts(array.to_pylist(), path)
        plain = array.cast(pa.large_string()) if types.is_string_view(array.type) else array
        _, edges, data = plain.buffers()
        width = np.int32 if types.is_string(plain.type) else np.int64
        offsets = np.frombuffer(edges, width, plain.offset + len(plain) + 1)[plain.offset :].astype(np.int64)
        used = b"" if data is None else data.slice(offsets[0], offsets[-1] - offsets[0]).to_pybytes()
        return Text(used, offsets - offsets[0])

    def times(self, array: pa.Array, path: Path, default: int, *, required: bool = False) -> NDArray[np.int64]:
        if is_text(array.type):
            return self._reader.times(array.to_pylist(), path, default, required=required)
        if not self._fits(array, path, types.is_timestamp, "timestamps, or RFC 3339 text"):
            return np.full(len(array), default, np.int64)
        if not array.type.tz:  # wall-clock time (Arrow's Schema.fbs), which is a moment only where its zone is known
            self.findings.whole(path, "not_a_timestamp", _NO_ZONE)
            return np.full(len(array), default, np.int64)
        if required:
            self._required(array, path)
        missing = _missing(array)
        times = _plain(array, np.int64, 0)
        per_second = _PER_SECOND[array.type.unit]
        seconds = times // per_second
        beyond = ((seconds < _EARLIEST) | (seconds > _LATEST)) & ~missing
        self.findings.where(beyond, path, "not_a_timestamp", "must be of the years 1 to 9999")
        times = times // (per_second // _SECOND) if per_second > _SECOND else times * (_SECOND // per_second)
        return np.where(missing | beyond, default, times)

    def names(self, array: pa.Array, path: Path, *, required: bool = False) -> Coded:
        """Labels as text: 1 is "1", true is "true"."""
        if not self._fits(array, path, is_name, "text, whole numbers or booleans"):
            return Coded(np.full(len(array), MISSING, np.int32), ())
        if required:
            self._required(array, path)
        return _coded(array)

    def flags(self, array: pa.Array, path: Path) -> NDArray[np.bool_] | None:
        if not self._fits(array, path, types.is_boolean, "booleans"):
            return None
        flags = _bits(array.buffers()[1], array) & ~_missing(array)
        return flags if flags.any() else None

    def feature(self, array: pa.Array, path: Path) -> Feature | None:
        """By the array's type."""
        if is_number(array.type):
            return number_feature(self.numbers(array, path))
        if types.is_boolean(array.type):
            codes = _plain(array.cast(pa.int32()), np.int32, MISSING)
            return present(Coded(codes, BOOLEANS))
        if self._fits(array, path, is_category, "numbers, text or booleans"):
            return present(_coded(array))
        return None

    def _fits(self, array: pa.Array, path: Path, wanted: Callable[[pa.DataType], bool], name: str) -> bool:
        if wanted(array.type):
            return True
        self.findings.whole(path, "wrong_type", f"must be a column of {name}, not of {str(array.type)[:60]}")
        return False

    def _required(self, array: pa.Array, path: Path) -> None:
        if array.null_count:
            self.findings.where(_missing(array), path, "missing", f"{path[-1]} is required")


def _coded(array: pa.Array) -> Coded:
    """Only the values that rows use, each once, in the order in which they first appear."""
    if not types.is_dictionary(array.type):
        encoded = array.dictionary_encode()
        codes = _plain(encoded.indices, np.int32, MISSING)
        return Coded(codes, tuple(name or "" for name in canonical(encoded.dictionary.to_pylist())))
    codes = _plain(array.indices.cast(pa.int64(), safe=False), np.int64, MISSING)
    used, first = np.unique(codes[codes != MISSING], return_index=True)
    used = used[np.argsort(first)]
    names: dict[str, int] = {}
    table = np.full(len(array.dictionary) + 1, MISSING, np.int32)
    places = pa.Array.from_buffers(pa.int64(), len(used), [None, pa.py_buffer(np.ascontiguousarray(used))])
    for code, value in zip(used.tolist(), canonical(array.dictionary.take(places).to_pylist()), strict=True):
        if value is not None:  # a dictionary may hold nulls of its own, and a value twice
            table[code] = names.setdefault(value, len(names))
    return Coded(table[codes], tuple(names))


def _plain(array: pa.Array, dtype: type[np.generic], missing: float) -> NDArray[Any]:
    """The values of an array whose buffer holds `dtype`; `missing` for nulls."""
    if not len(array):
        return np.empty(0, dtype)
    values = np.frombuffer(array.buffers()[1], dtype, array.offset + len(array))[array.offset :]
    return np.where(_missing(array), np.array(missing, dtype), values) if array.null_count else values


def _missing(array: pa.Array) -> NDArray[np.bool_]:
    if not array.null_count:
        return np.zeros(len(array), np.bool_)
    return ~_bits(array.buffers()[0], array)


def _bits(buffer: pa.Buffer, array: pa.Array) -> NDArray[np.bool_]:
    """The array's bits of a bitmap."""
    if not len(array):
        return np.empty(0, np.bool_)
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=array.offset + len(array), bitorder="little")
    return bits[array.offset :].view(np.bool_)
