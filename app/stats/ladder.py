"""Scores of two outcomes side by side: the bins that hold positives, and how many negatives lie below each.

That is all that areas under curves need: between two such bins nothing happens but negatives going by. So a year of
hourly histograms costs its entries, not its 9 million bins.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import CALIBRATION_BINS, CALIBRATION_OF_SCORE, SCORE_BINS

Given = TypeVar("Given")
Found = TypeVar("Found")

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
Places = NDArray[np.intp]

TABLE = 1 << 17  # places counted through at once: half a megabyte, so that it stays in the cache
PART = 1 << 16  # bins worked on at once, for the same reason
UNITS = 57  # bits; Σ of positives in a bin over rows at and above it is below 2^6
THREADS = 2  # numpy releases the interpreter in loops of this length
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


@dataclass(frozen=True, slots=True, eq=False)
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
    wide: Ints

    @classmethod
    def of(cls, code: NDArray[np.uint32], amount: NDArray[np.int64], negative: Spans, positive: Spans) -> "Ladder":
        """From entries whose code ends in the score bin, ascending inside a span.

        >>> code, amount = np.array([2, 3, 3, 7], np.uint32), np.array([4, 1, 1, 2])
        >>> ladder = Ladder.of(code, amount, *(Spans(np.array([a]), np.array([a + 2])) for a in (0, 2)))
        >>> ladder.above.tolist(), ladder.below.tolist(), ladder.upto.tolist()
        ([2, 0], [4, 5], [5, 5])
        """
        problems, at_once = negative.start.size, TABLE // _STEP
        firsts = range(0, problems, at_once)
        parts = side_by_side(
            lambda first: _part(code, amount, *(side[first : first + at_once] for side in (negative, positive))),
            firsts,
        )
        if not parts:
            none = np.empty(0, np.int64)
            nowhere = none.reshape(2, CALIBRATION_BINS, 0)
            return cls(np.zeros(1, np.intp), none, none, none, none, none, none, nowhere)
        starts = np.concatenate(([0], np.cumsum(positive.size)))
        return cls(starts, *(np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)))

    def parts(self) -> Iterator["Ladder"]:
        """The same problems, some at a time; none is divided."""
        first, last = 0, self.positives.size
        while first < last:
            stop = int(np.searchsorted(self.starts, self.starts[first] + PART, side="right")) - 1
            stop = min(max(stop, first + 1), last)
            bins, mine = slice(self.starts[first], self.starts[stop]), slice(first, stop)
            yield Ladder(
                self.starts[first : stop + 1] - self.starts[first],
                self.count[bins],
                self.above[bins],
                self.below[bins],
                self.upto[bins],
                self.positives[mine],
                self.negatives[mine],
                self.wide[..., mine],
            )
            first = stop

    @property
    def used(self) -> Places:
        """Problems with a positive."""
        return np.flatnonzero(np.diff(self.starts))

    @property
    def problem(self) -> Places:
        """[E] whose bin each one is."""
        return np.repeat(np.arange(self.positives.size), np.diff(self.starts))

    def sums(self, values: Floats) -> Floats:
        """[E] → [R]"""
        found = np.zeros(self.positives.size)
        if values.size:
            used = self.used
            found[used] = np.add.reduceat(values, self.starts[used])
        return found

    def each(self, values: NDArray[np.number]) -> Floats:
        """[R] → [E]"""
        return np.repeat(values.astype(np.float64), np.diff(self.starts))

    def running(self, values: Floats) -> Floats:
        """[E] sums of each bin and those before it in its problem; values in [0, 1].

        In whole units of 2^-57, so that what stands beside a problem changes no bit of it.
        """
        used, units = self.used, (values * 2.0**UNITS).astype(np.int64)
        if used.size > 1:  # what a problem adds is taken off where the next one starts
            units[self.starts[used[1:]]] -= np.add.reduceat(units, self.starts[used])[:-1]
        return np.asarray(np.cumsum(units) * 2.0**-UNITS, np.float64)

    def following(self) -> Ints:
        """[E] negatives below the next bin that holds positives; all of them for the last."""
        after = np.empty_like(self.below)
        after[:-1] = self.below[1:]
        used = self.used
        after[self.starts[used + 1] - 1] = self.negatives[used]
        return after


def side_by_side(work: Callable[[Given], Found], parts: Iterable[Given]) -> list[Found]:
    """The work of each part, in order; on two threads where there is more than one part.

    >>> side_by_side(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    given = list(parts)
    if len(given) < 2:
        return [work(part) for part in given]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, given))


def _part(code: NDArray[np.uint32], amount: NDArray[np.int64], negative: Spans, positive: Spans) -> tuple[Ints, ...]:
    """As the ladder's arrays after `starts`: looked up in running counts over all bins of these problems."""
    others, mine = negative.places(), positive.places()
    of_negative, of_positive = amount.take(others), amount.take(mine)
    narrow = max(int(of_negative.sum()), int(of_positive.sum())) < 1 << 31
    problems = np.arange(negative.start.size)
    table = np.zeros((problems.size, _STEP), np.int32 if narrow else np.int64)
    flat = table.ravel()
    flat[np.repeat(problems * _STEP + 1, negative.size) + (code.take(others) & _BIN)] = of_negative
    np.cumsum(table, axis=1, dtype=table.dtype, out=table)
    problem, score = np.repeat(problems, positive.size), code.take(mine) & _BIN
    place = problem * _STEP + score
    count = of_positive.astype(table.dtype)
    upto = np.cumsum(count, dtype=table.dtype)
    ends = np.concatenate(([0], upto))[np.cumsum(positive.size)]
    above = np.repeat(ends.astype(table.dtype), positive.size) - upto
    totals = np.diff(ends, prepend=0), table[:, -1].astype(np.int64)
    return count, above, flat.take(place), flat.take(place + 1), *totals, _wide(table, problem, score, of_positive)


def _wide(table: Ints, problem: Places, score: NDArray[np.uint32], amount: Ints) -> Ints:
    """[2, 64, R] negatives from their running counts, positives from their bins."""
    found = np.empty((2, CALIBRATION_BINS, len(table)), np.int64)
    found[0] = np.diff(table.take(_EDGES, axis=1), axis=1).T
    place = CALIBRATION_OF_SCORE.take(score) * len(table) + problem
    found[1] = np.bincount(place, amount, found[1].size).reshape(found[1].shape)
    return found
