"""The content of a prediction as 64 bits: what decides between a duplicate and a conflict.

Every value is mixed with a seed of its own column and the results are added, so that the order of columns is of no
account and what a row lacks counts as if it had never been named. The timestamp is not content: a retry that stamps
itself anew is a duplicate. A version or class that a row leaves out is content as left out, not as what it stood for
then: another champion or threshold must not make conflicts of retries, see docs/decisions/0008. Stored for as long as
the row, so these numbers never change (a golden test holds them).
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.tracking.batch import MISSING, Coded, Text
from app.tracking.checked import CheckedPredictions
from app.tracking.storing.keys import is_long

Bits = NDArray[np.uint64]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio (Knuth's multiplicative hashing)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # splitmix64's (Steele, Lea, Flood 2014)
_HALF, _S30, _S27, _S31 = np.uint64(32), np.uint64(30), np.uint64(27), np.uint64(31)


def content(batch: CheckedPredictions) -> NDArray[np.int64]:
    """One number a row, equal where and only where (but for 1 in 2^64) two rows say the same."""
    total = _numbers(batch)
    for name, column in batch.features.items():
        if isinstance(column, Coded):
            _add_coded(total, column, seed("category", name))
    for key, column in batch.segments.items():
        _add_coded(total, column, seed("segment", key))
    if batch.scores is not None:
        _add_scores(total, batch.scores)
    _add_long_ids(total, batch.ids)
    return _finished(total).view(np.int64)


@lru_cache(maxsize=16_384)
def seed(kind: str, text: str) -> int:
    """64 bits for a name or a value."""
    digest = hashlib.blake2b(f"{kind}\0{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _numbers(batch: CheckedPredictions) -> Bits:
    """All numeric columns as one matrix: a few passes over it instead of a few a column."""
    numeric = [(name, column.values) for name, column in batch.features.items() if not isinstance(column, Coded)]
    seeds = [seed("number", name) for name, _ in numeric]
    seeds += [seed("field", "score"), seed("field", "version"), seed("field", "predicted")]
    values = np.empty((len(seeds), len(batch)), np.float64)
    for row, (_, column) in zip(values, numeric, strict=False):
        row[:] = column
    values[-3] = batch.score
    with np.errstate(invalid="ignore"):  # a missing value is NaN, and no news
        values[:-2] += 0.0  # −0 becomes 0
    missing = np.isnan(values[:-2])
    bits = values.view(np.uint64)
    bits[-2], bits[-1] = batch.sent_version, batch.sent_class  # MISSING is a number as good as others
    _mix(bits, np.array(seeds, np.uint64)[:, None])
    if missing.any():
        bits[:-2][missing] = 0
    total: Bits = np.add.reduce(bits, axis=0)
    return total


def _add_scores(total: Bits, scores: NDArray[np.float64]) -> None:
    """A class without probability adds nothing, so a class that the model learns later changes no earlier content."""
    bits = np.ascontiguousarray(scores.T + 0.0).view(np.uint64)
    absent = ~(scores.T > 0)  # NaN too
    _mix(bits, np.array([seed("class", str(index)) for index in range(len(bits))], np.uint64)[:, None])
    bits[absent] = 0
    total += np.add.reduce(bits, axis=0)


def _add_coded(total: Bits, column: Coded, name: int) -> None:
    """The values are mixed once each; `MISSING` (−1) picks the zero at the end."""
    values = np.array([*(seed("text", value) for value in column.values), 0], np.uint64)
    _mix(values, np.uint64(name))
    values[MISSING] = 0
    total += values[column.codes]


def _add_long_ids(total: Bits, ids: Text) -> None:
    rows = is_long(ids)
    if rows.size:
        whole = _each(ids, rows)
        total[rows] += np.array([seed("id", text) for text in whole], np.uint64)


def _each(ids: Text, rows: NDArray[np.intp]) -> Iterable[str]:
    return (ids.data[ids.offsets[row] : ids.offsets[row + 1]].decode() for row in rows)


def _mix(bits: Bits, seeds: Bits | np.uint64) -> None:
    """In place: spreads each value over all bits, differently for each seed."""
    bits ^= seeds
    bits *= _ODD
    bits ^= bits >> _HALF
    bits *= _MIX[0]
    bits ^= bits >> _S27


def _finished(total: Bits) -> Bits:
    total ^= total >> _S30
    total *= _MIX[0]
    total ^= total >> _S27
    total *= _MIX[1]
    total ^= total >> _S31
    return total
