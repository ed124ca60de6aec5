"""What one transaction adds to the statistics: sparse integer vectors by (context, cohort minute, arrival minute).

A writer counts its rows into a `Ledger` and appends it as one packed delta; the folder merges deltas and spreads them
over versions, segments and grains (`grains`). Everything is integers, so any order of merging gives the same bits.

Packed form (little-endian): a header (format, cells, entries, far amounts), then each column as its minimum, the width
of the rest and the offsets from it; amounts are one byte each, those that don't fit follow as int64. A delta of
1,000 rows of one hour takes about 6 kB.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import FAMILY_SHIFT, INDEX_MASK
from app.stats.sparse import Sparse, consolidate, keys

CELL = np.dtype([("context", "<i4"), ("cohort", "<i4"), ("known", "<i4")])  # the last two: minutes since the epoch

FORMAT = 1
_HEADER = struct.Struct("<BIII")
_COLUMN = struct.Struct("<qB")
_SMALL = 2048  # bytes of a body that is remembered; unpacked it is about ten times as much
_FAR = -128  # stands for "see the far amounts"
_DENSE_LIMIT = 1 << 16  # up to so many possible cells a table is quicker than sorting

Cells = NDArray[Any]  # of dtype CELL
Minutes = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """`sparse.cell` is the index into `cells`; cells are sorted by (context, cohort, known), each once."""

    cells: Cells
    sparse: Sparse

    def __len__(self) -> int:
        return len(self.cells)

    @staticmethod
    def of(context: Minutes, cohort_minute: Minutes, known_minute: Minutes) -> tuple[Cells, NDArray[np.intp]]:
        """The distinct cells of n rows, and each row's cell: count the rows into `range(len(cells))`."""
        columns = [np.asarray(column, np.int64) for column in (context, cohort_minute, known_minute)]
        first, place = distinct(columns)
        cells = np.empty(len(first), CELL)
        for name, column in zip(("context", "cohort", "known"), columns, strict=True):
            cells[name] = column[first]
        return cells, place

    @classmethod
    def empty(cls) -> "Ledger":
        return cls(np.empty(0, CELL), Sparse.empty())


def merge(ledgers: Sequence[Ledger]) -> Ledger:
    """The sum; cells that cancel to nothing stay, without entries."""
    filled = [ledger for ledger in ledgers if len(ledger)]
    if len(filled) < 2:
        return filled[0] if filled else Ledger.empty()
    cells, place = Ledger.of(
        *(np.concatenate([ledger.cells[name] for ledger in filled]) for name in ("context", "cohort", "known"))
    )
    firsts = np.cumsum([0, *(len(ledger) for ledger in filled)])
    moved = [place[ledger.sparse.cell + first] for ledger, first in zip(filled, firsts[:-1], strict=True)]
    key = keys(np.concatenate(moved).astype(np.uint32), np.concatenate([ledger.sparse.code for ledger in filled]))
    return Ledger(cells, consolidate(key, np.concatenate([ledger.sparse.amount for ledger in filled])))


def negative(ledger: Ledger) -> Ledger:
    """What takes a ledger back."""
    return Ledger(ledger.cells, Sparse(ledger.sparse.cell, ledger.sparse.code, -ledger.sparse.amount))


def pack(ledger: Ledger) -> bytes:
    """Bytes for a delta's body."""
    sparse = ledger.sparse
    near = sparse.amount.astype(np.int8)
    far = (near != sparse.amount) | (near == _FAR)
    near[far] = _FAR
    far_amounts = sparse.amount[far].astype("<i8")
    columns = [_column(ledger.cells[name]) for name in ("context", "cohort", "known")]
    columns += [_column(sparse.cell), _column(sparse.code >> FAMILY_SHIFT), _column(sparse.code & INDEX_MASK)]
    header = _HEADER.pack(FORMAT, len(ledger), len(sparse), len(far_amounts))
    return b"".join([header, *columns, near.tobytes(), far_amounts.tobytes()])


def unpack(body: bytes) -> Ledger:
    """The inverse of `pack`; refuses a format it does not know.

    Its arrays are not to be written to: every question about a model reads the deltas that are not folded yet, so small
    ones are remembered.
    """
    return _remembered(body) if len(body) <= _SMALL else _unpacked(body)


@lru_cache(maxsize=512)
def _remembered(body: bytes) -> Ledger:
    return _unpacked(body)


def _unpacked(body: bytes) -> Ledger:
    found, n_cells, n_entries, n_far = _HEADER.unpack_from(body)
    if found != FORMAT:
        raise ValueError(f"body is a delta of format {found}, this program reads {FORMAT}")
    at = _HEADER.size
    cells = np.empty(n_cells, CELL)
    for name in ("context", "cohort", "known"):
        cells[name], at = _read_column(body, at, n_cells)
    cell, at = _read_column(body, at, n_entries)
    family, at = _read_column(body, at, n_entries)
    index, at = _read_column(body, at, n_entries)
    amount = np.frombuffer(body, np.int8, n_entries, at).astype(np.int64)
    if n_far:
        amount[amount == _FAR] = np.frombuffer(body, "<i8", n_far, at + n_entries)
    code = (family << FAMILY_SHIFT | index).astype(np.uint32)
    return Ledger(cells, Sparse(cell.astype(np.uint32), code, amount))


def distinct(columns: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The distinct rows of a table given by columns: one row number of each, in order of the values; each row's place.

    `column[first][place]` is `column` again.
    """
    n = len(columns[0])
    if n == 0:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    lows = [int(column.min()) for column in columns]
    spans = [int(column.max()) - low + 1 for column, low in zip(columns, lows, strict=True)]
    possible = math.prod(spans)
    if possible >= 1 << 63:
        return _distinct_far(columns)
    key = np.zeros(n, np.int64)
    for column, low, span in zip(columns, lows, spans, strict=True):
        key = key * span + (column - low)
    if possible <= _DENSE_LIMIT:
        row_of = np.full(possible, -1, np.intp)
        row_of[key] = np.arange(n)
        present = row_of >= 0
        return row_of[present], (np.cumsum(present) - 1)[key]
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return first, place


def _distinct_far(columns: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Spans too wide for one int64 key (contexts and times far apart)."""
    order = np.lexsort(columns[::-1])
    starts = np.ones(len(order), np.bool_)
    starts[1:] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
    place = np.empty(len(order), np.intp)
    place[order] = np.cumsum(starts) - 1
    return order[starts], place


def _column(values: NDArray[Any]) -> bytes:
    if not len(values):
        return _COLUMN.pack(0, 0)
    low = int(values.min())
    span = int(values.max()) - low
    width = 0 if span == 0 else 1 if span < 1 << 8 else 2 if span < 1 << 16 else 4
    head = _COLUMN.pack(low, width)
    return head + (values.astype(np.int64) - low).astype(f"<u{width}").tobytes() if width else head


def _read_column(body: bytes, at: int, n: int) -> tuple[NDArray[np.int64], int]:
    low, width = _COLUMN.unpack_from(body, at)
    at += _COLUMN.size
    if width == 0:
        return np.full(n, low, np.int64), at
    return np.frombuffer(body, f"<u{width}", n, at).astype(np.int64) + low, at + n * width
