"""Scores of two outcomes side by side: the bins that hold positives, and how many negatives lie below each.

That is all that areas under curves need: between two such bins nothing happens but negatives going by. So a year of
hourly histograms costs its entries, not its 9 million bins.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import CALIBRATION_BINS, CALIBRATION_OF_SCORE, SCORE_BINS

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
Places = NDArray[np.intp]

TABLE = 1 << 19  # places counted through at once: two megabytes, so that it stays near the processor
UNITS = 57  # bits; Σ of positives in a bin over rows at and above it is below 2^6
_STEP = SCORE_BINS + 1
_BIN = np.uint32(SCORE_BINS - 1)
_EDGES = np.searchsorted(CALIBRATION_OF_SCORE, np.arange(CALIBRATION_BINS + 1))  # where each wide bin begins


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Of R problems, where each one's entries lie: from `start` up to `stop`."""

    start: Places
    stop: Places

    def __getitem__(self, part: slice) -> "Spans":
        return Spans(self.start[part], self.stop[part])

    @property
    def size(self) -> Places:
        return self.stop - self.start

    def places(self) -> Places:
        """Numbers of all entries, span by span.

        >>> Spans(np.array([3, 9]), np.array([5, 10])).places().tolist()
        [3, 4, 9]
        """
        size = self.size
        upto = np.cumsum(size)
        found = np.arange(upto[-1] if upto.size else 0)
        found += np.repeat(self.start - upto + size, size)
        return found


@dataclass(frozen=True, eq=False)
class Ladder:
    """Of R problems, the E bins that hold positives by rising score; `starts[r]` … `starts[r + 1] − 1` are problem r's.

    Of each bin [E]: `count` positives in it and `above` in higher ones; negatives `below` it, and `upto` and with it.
    `wide`: rows [2, 64, R] by outcome and calibration bin, which are counted on the way.
    """

    starts: Places
    count: Ints
    above: Ints
    below: Ints
    upto: Ints
    positives: Ints
    negatives: Ints
    wide: NDArray[np.int64]

    @classmethod
    def of(cls, code: NDArray[np.uint32], amount: NDArray[np.int64], negative: Spans, positive: Spans) -> "Ladder":
        """From entries whose code ends in the score bin, ascending inside a span; looked up in running counts over all
        bins of these problems.

        >>> code, amount = np.array([2, 3, 3, 7], np.uint32), np.array([4, 1, 1, 2])
        >>> ladder = Ladder.of(code, amount, *(Spans(np.array([a]), np.array([a + 2])) for a in (0, 2)))
        >>> ladder.above.tolist(), ladder.below.tolist(), ladder.upto.tolist()
        ([2, 0], [4, 5], [5, 5])
        """
        others, mine, sizes = negative.places(), positive.places(), positive.size
        of_negative, of_positive = amount.take(others), amount.take(mine)
        narrow = max(int(of_negative.sum()), int(of_positive.sum())) < 1 << 30  # twice as much is an int32 still
        problems = np.arange(sizes.size)
        table = np.zeros((problems.size, _STEP), np.int32 if narrow else np.int64)
        flat = table.ravel()
        place = np.repeat(problems * _STEP + 1, negative.size) + (code.take(others) & _BIN)
        flat[place] = of_negative.astype(table.dtype)
        np.cumsum(table, axis=1, dtype=table.dtype, out=table)
        problem, score = np.repeat(problems, sizes), code.take(mine) & _BIN
        place = problem * _STEP + score
        starts = np.concatenate(([0], np.cumsum(sizes)))
        count = of_positive.astype(table.dtype)
        passed = np.cumsum(count, dtype=table.dtype)
        ends = np.concatenate((np.zeros(1, table.dtype), passed))[starts]
        above, totals = np.repeat(ends[1:], sizes) - passed, (np.diff(ends), table[:, -1].copy())
        wide = _wide(table, problem, score, of_positive)
        return cls(starts, count, above, flat.take(place), flat.take(place + 1), *totals, wide)

    @cached_property
    def sizes(self) -> Places:
        """[R] bins with positives."""
        return np.diff(self.starts)

    @cached_property
    def used(self) -> Places:
        """Problems with a positive."""
        return np.flatnonzero(self.sizes)

    @cached_property
    def passing(self) -> Floats:
        """[E] negatives from this bin's end to the next bin that holds positives, or to the end."""
        after = np.empty_like(self.upto)
        after[:-1] = self.below[1:]
        after[self.starts[self.used + 1] - 1] = self.negatives[self.used]
        after -= self.upto
        return after.astype(np.float64)

    @property
    def problem(self) -> Places:
        """[E] whose bin each one is."""
        return np.repeat(np.arange(self.sizes.size), self.sizes)

    def sums(self, values: Floats) -> Floats:
        """[E] → [R]"""
        found = np.zeros(self.sizes.size)
        if values.size:
            found[self.used] = np.add.reduceat(values, self.starts[self.used])
        return found

    def each(self, values: Floats) -> Floats:
        """[R] → [E]"""
        return np.repeat(values, self.sizes)

    def running(self, values: Floats) -> Floats:
        """[E] sums of each bin and those before it in its problem; values in [0, 1].

        In whole units of 2^-57, so that what stands beside a problem changes no bit of it: overflow cancels out.
        """
        units = np.zeros(values.size + 1, np.int64)
        own = np.cumsum((values * 2.0**UNITS).astype(np.int64), out=units[1:])
        own -= np.repeat(units[self.starts[:-1]], self.sizes)
        return np.asarray(own * 2.0**-UNITS, np.float64)


def ladders(code: NDArray[np.uint32], amount: NDArray[np.int64], negative: Spans, positive: Spans) -> list[Ladder]:
    """Of many problems, some at a time, so that what is worked on stays in the cache.

    >>> none = Spans(np.zeros(300, np.intp), np.zeros(300, np.intp))
    >>> [part.positives.size for part in ladders(np.empty(0, np.uint32), np.empty(0, np.int64), none, none)]
    [300]
    """
    at_once = TABLE // _STEP
    parts = (slice(first, first + at_once) for first in range(0, negative.start.size, at_once))
    return [Ladder.of(code, amount, negative[part], positive[part]) for part in parts]


def _wide(table: Ints, problem: Places, score: NDArray[np.uint32], amount: Ints) -> NDArray[np.int64]:
    """[2, 64, R] negatives from their running counts, positives from their bins."""
    found = np.empty((2, CALIBRATION_BINS, len(table)), np.int64)
    found[0] = np.diff(table.take(_EDGES, axis=1), axis=1).T
    place = CALIBRATION_OF_SCORE.take(score) * len(table) + problem
    found[1] = np.bincount(place, amount, found[1].size).reshape(found[1].shape)
    return found
