"""Statistics of P points, read from sparse rollup entries. The slices import from here all that counts and merges.

Write: `count_predictions`, `count_labels` (rows → Sparse), `merge`, `negate`, `regroup`. Read: `Tally.of`.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import (
    CALIBRATION_BINS,
    CALIBRATION_OF_SCORE,
    CALIBRATION_SLOTS,
    DELAY_BINS,
    FAMILY_SHIFT,
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
from app.stats.sparse import Sparse, core_only, hist_only, merge, negate, regroup

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
_INDEX = np.uint32((1 << FAMILY_SHIFT) - 1)


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

    @classmethod
    def of(cls, shape: Shape, points: int, sparse: Sparse) -> "Tally":
        """`sparse.cell` is the point, in [0, points); points without entries are empty ones."""
        if len(sparse) and int(sparse.cell[-1]) >= points:
            raise ValueError(f"sparse: cell {sparse.cell[-1]} is not one of {points} points")
        return cls(shape, points, sparse)

    def total(self) -> "Tally":
        """One point: the sum of all."""
        return Tally(self.shape, 1, regroup(self.sparse, np.zeros(self.points, np.int64)))

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
        grid = np.zeros((self.points, classes * classes), np.int64)
        grid[cell, pair_order(classes)[index]] = amount
        return grid.reshape(self.points, classes, classes)

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

    @property
    def has_histograms(self) -> bool:
        """Whether the entries were read with the histogram families (or have none)."""
        return bool(is_hist(self.sparse.code).any())

    @cached_property
    def score_classes(self) -> int:
        """How many class slots `class_scores` has: 1 for binary."""
        if self.shape.task is Task.BINARY:
            return 1
        index = self._class_scores[1]
        return max(self.shape.classes, int(index.max(initial=0)) // (2 * SCORE_BINS) + 1)

    def class_scores(self, start: int = 0, stop: int | None = None) -> Ints:
        """[p, c, 2, 1024] labelled and scored rows of points start … stop−1.

        By class slot, whether it is the actual class, and score bin. In slices, because a long series would be large.
        """
        stop = self.points if stop is None else stop
        cell, index, amount = self._class_scores
        part = slice(*np.searchsorted(cell, (start, stop)))
        grid = np.zeros((stop - start, self.score_classes * 2 * SCORE_BINS), np.int64)
        grid[cell[part] - np.int64(start), index[part]] = amount[part]
        return grid.reshape(stop - start, self.score_classes, 2, SCORE_BINS)

    @cached_property
    def calibration(self) -> tuple[NDArray[np.float64], Ints, Ints]:
        """Σp, hits and rows, each [P, 64], by equal-width bins of the score.

        A hit: the positive class happened (binary), the top class did (multiclass).
        """
        grid = self._grid(Family.CALIBRATION, CALIBRATION_BINS * CALIBRATION_SLOTS)
        slots = grid.reshape(self.points, CALIBRATION_BINS, CALIBRATION_SLOTS)
        claimed = np.ldexp(slots[..., 0].astype(np.float64), -CALIBRATION_BITS)
        if self.shape.task is Task.MULTICLASS:
            return claimed, slots[..., 1], slots[..., 2]
        cell, index, amount = self._class_scores  # a positive is a hit: the score histogram has them
        where = cell * np.int64(CALIBRATION_BINS) + CALIBRATION_OF_SCORE[index % SCORE_BINS]
        hits, rows = np.zeros(claimed.size, np.int64), np.zeros(claimed.size, np.int64)
        np.add.at(rows, where, amount)
        np.add.at(hits, where, np.where(index >= SCORE_BINS, amount, 0))
        return claimed, hits.reshape(claimed.shape), rows.reshape(claimed.shape)

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

    @cached_property
    def _class_scores(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], Ints]:
        """Found once: slices of a long series would search all entries each."""
        return self._family(Family.CLASS_SCORE)

    def _family(self, family: Family) -> tuple[NDArray[np.uint32], NDArray[np.uint32], Ints]:
        """Cell, index and amount of the entries of one family, in order."""
        mine = np.flatnonzero(self._families == family)
        return self.sparse.cell[mine], self.sparse.code[mine] & _INDEX, self.sparse.amount[mine]

    @cached_property
    def _families(self) -> NDArray[np.uint8]:
        return (self.sparse.code >> np.uint32(FAMILY_SHIFT)).astype(np.uint8)

    def _grid(self, family: Family, width: int) -> Ints:
        cell, index, amount = self._family(family)
        grid = np.zeros((self.points, max(width, int(index.max(initial=0)) + 1)), np.int64)
        grid[cell, index] = amount
        return grid
