"""Sparse integer vectors by cell: the form in which statistics are stored, sent and summed.

Only int64 amounts are added, so any order, split or merge gives the same bits, and a negative cancels exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import FAMILY_SHIFT, INDEX_MASK, is_hist

CELL_SHIFT = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_PAGE, _IN_PAGE = np.uint32(10), np.uint32(0x3FF)


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Entries sorted by (cell, code), each pair once, no zero amounts. Three arrays of one length."""

    cell: NDArray[np.uint32]
    code: NDArray[np.uint32]
    amount: NDArray[np.int64]

    def __len__(self) -> int:
        return self.cell.size

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sparse)
            and np.array_equal(self.cell, other.cell)
            and np.array_equal(self.code, other.code)
            and np.array_equal(self.amount, other.amount)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays may be written to

    @classmethod
    def empty(cls) -> "Sparse":
        return cls(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.int64))


def consolidate(key: NDArray[np.uint64], amount: NDArray[np.int64]) -> Sparse:
    """Entries in any order, repeated or not → Sparse. `key` is cell << 32 | code, see `keys`.

    >>> consolidate(np.array([7, 3, 7], np.uint64), np.array([1, 2, 4])).amount.tolist()
    [2, 5]
    """
    order = np.argsort(key, kind="stable")  # merges the runs that are in order already
    key, amount = key[order], amount[order]
    starts = run_starts(key)
    if starts.size < key.size:
        key, amount = key[starts], np.add.reduceat(amount, starts)
    kept = np.flatnonzero(amount)
    if kept.size < amount.size:
        key, amount = key[kept], amount[kept]
    return Sparse((key >> CELL_SHIFT).astype(np.uint32), (key & _LOW).astype(np.uint32), amount)


def run_starts(ordered: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where each new value of an ordered array begins.

    >>> run_starts(np.array([4, 4, 9], np.uint64)).tolist()
    [0, 2]
    """
    return np.flatnonzero(np.concatenate((np.ones(min(ordered.size, 1), np.bool_), ordered[1:] != ordered[:-1])))


def keys(cell: NDArray[np.integer], code: NDArray[np.integer]) -> NDArray[np.uint64]:
    """
    >>> keys(np.array([1]), np.array([7])).tolist() == [2**32 + 7]
    True
    """
    return cell.astype(np.uint64) << CELL_SHIFT | code.astype(np.uint64)


def merge(parts: Sequence[Sparse]) -> Sparse:
    """The sum, cell by cell; all parts number their cells alike.

    >>> one = Sparse(np.array([0], np.uint32), np.array([7], np.uint32), np.array([2]))
    >>> merge([one, one]).amount.tolist(), len(merge([one, negate(one)]))
    ([4], 0)
    """
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else Sparse.empty()
    return consolidate(
        np.concatenate([keys(part.cell, part.code) for part in filled]), np.concatenate([p.amount for p in filled])
    )


def negate(sparse: Sparse) -> Sparse:
    """What takes `sparse` back: `merge([a, negate(a)])` is empty.

    >>> negate(Sparse(np.array([0], np.uint32), np.array([7], np.uint32), np.array([2]))).amount.tolist()
    [-2]
    """
    return Sparse(sparse.cell, sparse.code, -sparse.amount)


def regroup(sparse: Sparse, target: NDArray[np.integer]) -> Sparse:
    """Renumber cells: cell i becomes `target[i]`; equal targets are summed, a negative one drops the cell.

    >>> three = Sparse(np.arange(3, dtype=np.uint32), np.full(3, 7, np.uint32), np.array([1, 2, 4]))
    >>> regroup(three, np.array([0, 0, -1])).amount.tolist()
    [3]
    """
    moved = target[sparse.cell]
    kept = np.flatnonzero(moved >= 0)
    return consolidate(keys(moved[kept].astype(np.uint32), sparse.code[kept]), sparse.amount[kept])


def summed(sparse: Sparse) -> Sparse:
    """All cells as one, cell 0.

    Entries are added where their code stands in a table of the pages of 1,024 codes that occur: a long series is not
    sorted anew.

    >>> summed(Sparse(np.array([0, 3], np.uint32), np.array([7, 7], np.uint32), np.array([2, 5]))).amount.tolist()
    [7]
    """
    within = (sparse.code & INDEX_MASK) >> _PAGE  # pages are numbered without the gaps between the families
    pages_each = int(within.max(initial=0)) + 1
    page = (sparse.code >> FAMILY_SHIFT).astype(np.intp) * pages_each + within
    seen = np.zeros(int(page.max(initial=-1)) + 1, np.bool_)
    seen[page] = True
    pages = np.flatnonzero(seen)
    place = (np.cumsum(seen) - 1).take(page) << int(_PAGE)
    place |= sparse.code & _IN_PAGE
    table = np.zeros(pages.size << int(_PAGE), np.int64)
    np.add.at(table, place, sparse.amount)
    filled = np.flatnonzero(table)
    family, page = np.divmod(pages.take(filled >> int(_PAGE)), pages_each)
    code = (family << FAMILY_SHIFT) | (page << int(_PAGE)) | (filled & int(_IN_PAGE))
    return Sparse(np.zeros(filled.size, np.uint32), code.astype(np.uint32), table.take(filled))


def core_only(sparse: Sparse) -> Sparse:
    """The entries of families below 16: what counts, sums and delays need.

    >>> len(core_only(Sparse(np.zeros(2, np.uint32), np.array([1, 17 << 24], np.uint32), np.array([2, 5]))))
    1
    """
    return _where(sparse, ~is_hist(sparse.code))


def hist_only(sparse: Sparse) -> Sparse:
    """The rest: `merge([core_only(s), hist_only(s)])` is `s`.

    >>> hist_only(Sparse(np.zeros(2, np.uint32), np.array([1, 17 << 24], np.uint32), np.array([2, 5]))).amount.tolist()
    [5]
    """
    return _where(sparse, is_hist(sparse.code))


def _where(sparse: Sparse, kept: NDArray[np.bool_]) -> Sparse:
    return Sparse(sparse.cell[kept], sparse.code[kept], sparse.amount[kept])
