"""Statistics of P points, read from sparse rollup entries. The slices import from here all that counts and merges.

Write: `count_predictions`, `count_labels` (rows → Sparse), `merge`, `negate`, `regroup`. Read: `Tally.of`.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.stats.claims import Claims
from app.stats.codes import (
    CALIBRATION_BINS,
    CALIBRATION_SLOTS,
    DELAY_BINS,
    FAMILY_SHIFT,
    FIRST_HIST,
    INDEX_MASK,
    SCORE_BINS,
    SUM_LIMBS,
    SUMS,
    Family,
    Task,
    is_hist,
    pair_order,
)
from app.stats.counting import POWERS, Shape, count_labels, count_predictions
from app.stats.doubledouble import DD
from app.stats.fixedpoint import CALIBRATION_BITS, LARGEST, STEP, outside
from app.stats.ladder import Ladder, Spans, ladders
from app.stats.pages import PAGE_BITS, Pages
from app.stats.sparse import Sparse, core_only, hist_only, merge, negate, regroup, summed

__all__ = [
    "LARGEST",
    "Family",
    "Shape",
    "Sparse",
    "Tally",
    "Task",
    "core_only",
    "count_labels",
    "count_predictions",
    "hist_only",
    "is_hist",
    "merge",
    "negate",
    "outside",
    "regroup",
]

Ints = NDArray[np.int64]
POINTS = 256  # worked on at once, so that the working arrays stay in the cache


class Tally:
    """Statistics of P points, decoded when asked for. Every array has the points first.

    >>> rows = dict(predicted=np.array([1, 0]), score=np.array([0.9, 0.4]))
    >>> shape, cell = Shape(Task.BINARY, 2), np.array([0, 1])
    >>> counted = count_labels(shape, cell, 2, actual=np.array([1.0, 1.0]), delay_us=np.array([0, 0]), **rows)
    >>> tally = Tally.of(shape, 2, merge([counted, count_predictions(shape, cell, 2, **rows)]))
    >>> tally.n.tolist(), tally.confusion.tolist()
    ([1, 1], [[[0, 0], [0, 1]], [[0, 0], [1, 0]]])
    >>> tally.total().confusion.tolist()
    [[[0, 0], [1, 1]]]
    """

    def __init__(self, shape: Shape, points: int, sparse: Sparse) -> None:
        self.shape = shape
        self.points = points
        self.sparse = sparse
        self._claims: dict[int, Claims] = {}  # by how many bins

    @classmethod
    def of(cls, shape: Shape, points: int, sparse: Sparse) -> "Tally":
        """`sparse.cell` is the point, in [0, points); points without entries are empty ones."""
        if len(sparse) and int(sparse.cell[-1]) >= points:
            raise ValueError(f"sparse: cell {sparse.cell[-1]} is not one of {points} points")
        return cls(shape, points, sparse)

    def total(self) -> "Tally":
        """One point: the sum of all."""
        return Tally(self.shape, 1, summed(self.sparse))

    @cached_property
    def n(self) -> Ints:
        """[P] predictions."""
        return self._grid(Family.N, 1)[:, 0]

    @cached_property
    def labelled(self) -> Ints:
        """[P] predictions with a label."""
        return self._grid(Family.LABELLED, 1)[:, 0]

    @cached_property
    def scored(self) -> Ints:
        """[P] labelled predictions with a score."""
        return self._grid(Family.SCORED, 1)[:, 0]

    @cached_property
    def nonzero(self) -> Ints:
        """[P] labelled predictions whose actual is not 0 (regression)."""
        return self._grid(Family.NONZERO, 1)[:, 0]

    @cached_property
    def confusion(self) -> Ints:
        """[P, k, k] by actual, then predicted. k is at least `shape.classes`."""
        cell, index, amount = self._family(Family.CONFUSION)
        seen = int(index.max(initial=0))
        classes = max(self.shape.classes, int(np.sqrt(seen)) + 1)
        grid = np.zeros(
            (classes * classes, self.points), np.int64
        )  # points innermost: sums over classes run along them
        grid[pair_order(classes)[index], cell] = amount
        return grid.reshape(classes, classes, self.points).transpose(2, 0, 1)

    @cached_property
    def predicted(self) -> Ints:
        """[P, k] all predictions by predicted class."""
        return self._grid(Family.PREDICTED, self.shape.classes)

    @cached_property
    def delays(self) -> Ints:
        """[P, 160] labels by delay bin, see `codes.DELAY_EDGES_S`."""
        return self._grid(Family.DELAY, DELAY_BINS)

    @cached_property
    def scores(self) -> Ints:
        """[P, 1024] all predictions by score bin."""
        return self._grid(Family.SCORE, SCORE_BINS)

    @cached_property
    def has_histograms(self) -> bool:
        """Whether the entries were read with the histogram families (or have none)."""
        return bool((self._pages.number >= FIRST_HIST << FAMILY_SHIFT - PAGE_BITS).any())

    @cached_property
    def score_classes(self) -> int:
        """How many one-against-rest problems each point has: 1 for binary."""
        if self.shape.task is Task.BINARY:
            return 1
        index = self._family(Family.CLASS_SCORE)[1]
        return max(self.shape.classes, int(index.max(initial=0)) // (2 * SCORE_BINS) + 1)

    @cached_property
    def ladders(self) -> list[Ladder]:
        """Labelled and scored rows by score bin, of points × `score_classes` one-against-rest problems."""
        slots = 2 * self.score_classes
        ends = np.stack([self._reach(Family.CLASS_SCORE, i * SCORE_BINS) for i in range(slots + 1)], axis=1)
        negative, positive = (Spans(ends[:, side:-1:2].ravel(), ends[:, side + 1 :: 2].ravel()) for side in (0, 1))
        return ladders(self.sparse.code, self.sparse.amount, negative, positive)

    def claims(self, bins: int = CALIBRATION_BINS) -> Claims:
        """[P, bins] by equal-width bins of the score; `bins` divides 64."""
        if bins not in self._claims:
            joined = (bins, CALIBRATION_BINS // bins, self.points)
            claimed, hits, rows = (part.reshape(joined).sum(axis=1).T for part in self._calibration)
            self._claims[bins] = Claims(np.ldexp(claimed, -CALIBRATION_BITS), hits, rows)
        return self._claims[bins]

    def sum(self, name: int) -> DD:
        """[P] a fixed-point sum of `counting` (LOG_LOSS, ERROR …) in its own units, exact to 106 bits."""
        total = DD.of(np.zeros(self.points, np.int64))
        for amounts, shift in self._limbs(name):
            total += DD.of(amounts).times(shift)
        return total

    def exact(self, name: int) -> list[int]:
        """[P] the same without any rounding, for differences of sums that are nearly equal."""
        total = [0] * self.points
        for amounts, shift in self._limbs(name):
            total = [before + (amount << shift) for before, amount in zip(total, amounts.tolist(), strict=True)]
        return total

    def _limbs(self, name: int) -> Iterator[tuple[Ints, int]]:
        """Amounts [P] of a sum and the power of two they stand for, in the finest unit; from the top down."""
        slots = self._sums.shape[1] // (SUMS * SUM_LIMBS)
        grid = self._sums.reshape(self.points, slots, SUMS, SUM_LIMBS)[:, :, name]
        for slot, limb in np.argwhere(grid.any(axis=0))[::-1].tolist():
            yield grid[:, slot, limb], 32 * limb + STEP * slot * POWERS[name]

    @cached_property
    def _sums(self) -> Ints:
        grid, whole = self._grid(Family.SUM, SUMS * SUM_LIMBS), SUMS * SUM_LIMBS
        return np.pad(grid, ((0, 0), (0, -grid.shape[1] % whole)))

    def _family(self, family: Family) -> tuple[Ints, NDArray[np.uint32], Ints]:
        """Point, index and amount of the entries of one family, in order."""
        spans = Spans(self._reach(family), self._reach(family + 1))
        mine = spans.places()
        point = np.repeat(np.arange(self.points), spans.size)
        return point, self.sparse.code.take(mine) & INDEX_MASK, self.sparse.amount.take(mine)

    @cached_property
    def _calibration(self) -> tuple[Ints, Ints, Ints]:
        """Σp in its unit, hits, rows: each [64, P], points innermost, since sums run over bins."""
        spans = Spans(self._reach(Family.CALIBRATION), self._reach(Family.CALIBRATION + 1))
        binary = self.shape.task is Task.BINARY
        slots, index = 1 if binary else CALIBRATION_SLOTS, np.arange(CALIBRATION_SLOTS * CALIBRATION_BINS)
        row = index % CALIBRATION_SLOTS * CALIBRATION_BINS + index // CALIBRATION_SLOTS

        def part(first: int) -> Ints:
            mine = spans[first : first + POINTS]
            taken, points = mine.places(), np.arange(mine.start.size)
            found = np.zeros((slots, CALIBRATION_BINS, points.size), np.int64)
            place = row.take(self.sparse.code.take(taken) & INDEX_MASK) * points.size + np.repeat(points, mine.size)
            found.ravel()[place] = self.sparse.amount.take(taken)
            return found

        found = _beside([part(first) for first in range(0, self.points, POINTS)], slots)
        if binary:  # a positive is a hit: the score histogram has them
            negative, positive = _beside([ladder.wide for ladder in self.ladders], 2)
            return found[0], positive, negative + positive
        return found[0], found[1], found[2]

    def _reach(self, family: int, index: int = 0) -> NDArray[np.intp]:
        """[P] how far each point's entries lie before a code."""
        return self._pages.upto(family << FAMILY_SHIFT | index)

    @cached_property
    def _pages(self) -> Pages:
        return Pages.of(self.sparse, self.points)

    def _grid(self, family: Family, width: int) -> Ints:
        cell, index, amount = self._family(family)
        grid = np.zeros((self.points, max(width, int(index.max(initial=0)) + 1)), np.int64)
        grid[cell, index] = amount
        return grid


def _beside(parts: Sequence[Ints], slots: int) -> Ints:
    """[slots, 64, P] from the same of some points at a time."""
    return np.concatenate([np.empty((slots, CALIBRATION_BINS, 0), np.int64), *parts], axis=2)
