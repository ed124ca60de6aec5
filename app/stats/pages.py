"""Where each point's entries lie, by pages of 1,024 codes: found in one pass over all entries, for all families."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.sparse import Sparse

PAGE_BITS = 10
PART = 1 << 16  # codes compared at once, so that they are still in the cache
_SHIFT = np.uint32(PAGE_BITS)


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """Of P points: `number`, the pages that occur, ascending; `ends` [pages + 1, P], how far the entries before each of
    them lie, then how far all do."""

    number: NDArray[np.intp]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, sparse: Sparse, points: int) -> "Pages":
        """Entries of one page stand side by side inside a point, so it costs their runs, not a search for each family.

        >>> two = Sparse(np.array([0, 0, 1], np.uint32), np.array([5, 2048, 2049], np.uint32), np.array([1, 1, 1]))
        >>> pages = Pages.of(two, 2)
        >>> pages.number.tolist(), pages.ends.tolist()
        ([0, 2], [[0, 2], [1, 2], [2, 3]])
        """
        starts = _starts(sparse, points)
        page, point = (sparse.code[starts] >> _SHIFT).astype(np.intp), sparse.cell[starts]
        seen = np.zeros(int(page.max(initial=-1)) + 1, np.bool_)
        seen[page] = True
        number = np.flatnonzero(seen)
        row = np.empty(seen.size, np.intp)
        row[number] = np.arange(1, number.size + 1)
        ends = np.zeros((number.size + 1, points), np.intp)
        ends[row.take(page), point] = np.diff(starts, append=len(sparse))
        ends[0, 1:] = np.cumsum(ends.sum(axis=0))[:-1]
        return cls(number, np.cumsum(ends, axis=0, out=ends))

    def upto(self, code: int) -> NDArray[np.intp]:
        """[P] how far each point's entries lie before a code with which a page begins.

        >>> one = Sparse(np.zeros(2, np.uint32), np.array([5, 2048], np.uint32), np.array([1, 1]))
        >>> [Pages.of(one, 1).upto(code).tolist() for code in (0, 1024, 3072)]
        [[0], [1], [2]]
        """
        found: NDArray[np.intp] = self.ends[np.searchsorted(self.number, code >> PAGE_BITS)]
        return found


def _starts(sparse: Sparse, points: int) -> NDArray[np.intp]:
    """Where a point or a page begins."""
    begins = np.ones(len(sparse), np.bool_)
    for first in range(0, len(sparse), PART):
        page = sparse.code[first : first + PART + 1] >> _SHIFT
        np.not_equal(page[1:], page[:-1], out=begins[first + 1 : first + PART + 1])
    start = np.searchsorted(sparse.cell, np.arange(points, dtype=np.uint32))
    begins[start[start < len(sparse)]] = True
    return np.flatnonzero(begins)
