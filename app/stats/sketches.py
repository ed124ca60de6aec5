"""Quantiles of what was never stored: counts in logarithmic bins, for latencies and other positive numbers.

Integer counts, so any order, split or merge gives the same bits, and a negative part takes rows back. A quantile is off
by at most 1 % of itself (DDSketch, Masson et al. 2019).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.intervals import Interval, wilson
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ACCURACY = 0.01
SMALLEST = 1e-9  # what is smaller, zero and negatives stand in bin 0
_BASE = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_BASE = np.log(_BASE)
BINS = 3_456  # up to 1e-9 · base^3455, about 1e21


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Rows by bin: ascending bin numbers, and how many each. No zero counts."""

    bins: Ints
    counts: Ints

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sketch)
            and np.array_equal(self.bins, other.bins)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays may be written to

    @classmethod
    def of(cls, values: ArrayLike) -> "Sketch":
        """NaN is left out.

        >>> len(Sketch.of([0.1, 0.2, np.nan, 0.0]))
        3
        """
        x = np.asarray(values, np.float64).ravel()
        return cls._of_dense(np.bincount(bin_of(x[~np.isnan(x)]), minlength=1))

    @classmethod
    def _of_dense(cls, dense: Ints) -> "Sketch":
        used = np.flatnonzero(dense)
        return cls(used.astype(np.int64), dense[used].astype(np.int64))

    def quantile(self, q: float, *, level: float = 0.95) -> Interval:
        """The smallest value with at least a share `q` at or below, within 1 % of itself.

        Interval: the quantiles at Wilson's limits of q, widened by the bin's error; distribution-free. No rows: none.

        >>> found = Sketch.of(np.arange(1, 1001) / 1000).quantile(0.99)
        >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
        (0.99, 0.98, 1.0)
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q: a share, not {q}")
        n, method = len(self), f"quantile {q:g}, order statistics"
        if n == 0:
            return withheld(np.nan, 0, method, "no rows", level=level)
        low, high = (float(end) for end in wilson(q * n, n, level))
        value, first, last = (self._at(share) for share in (q, low, high))
        assumption = "rows are independent draws; bins of 1 %"
        return interval(value, first * (1 - ACCURACY), last * (1 + ACCURACY), method, n, assumption, level=level)

    def above(self, limit: float) -> int:
        """How many rows lie in bins above the one that holds `limit`: a latency objective's misses.

        >>> Sketch.of([0.1, 0.3, 0.5]).above(0.3)
        1
        """
        return int(self.counts[self.bins > int(bin_of(np.array([limit]))[0])].sum())

    def _at(self, share: float) -> float:
        wanted = max(share * len(self) * (1 - 1e-12), 1e-300)
        place = int(np.searchsorted(np.cumsum(self.counts), wanted))
        return float(middle_of(self.bins[min(place, self.bins.size - 1)]))


def bin_of(values: Floats) -> Ints:
    """0 for 1e-9 and below, then bins whose ends are 2 % apart; monotone.

    >>> bin_of(np.array([0.0, 1.0, 1.01, 1.03])).tolist()
    [0, 1037, 1037, 1038]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.ceil(np.log(values / SMALLEST) / _LOG_BASE)
    return np.where(values > SMALLEST, np.clip(place, 1, BINS - 1), 0).astype(np.int64)


def middle_of(bins: ArrayLike) -> Floats:
    """What a bin stands for: within 1 % of all in it; 0 for bin 0.

    >>> middle_of(bin_of(np.array([0.25]))).round(3).tolist()
    [0.248]
    """
    number = np.asarray(bins, np.float64)
    return np.where(number > 0, SMALLEST * _BASE**number * (1 - ACCURACY), 0.0)


def merge(parts: Sequence[Sketch]) -> Sketch:
    """The sketch of all rows.

    >>> merge([Sketch.of([1.0, 2.0]), Sketch.of([3.0])]) == Sketch.of([3.0, 2.0, 1.0])
    True
    """
    dense = np.zeros(BINS, np.int64)
    for part in parts:
        dense[part.bins] += part.counts
    return Sketch._of_dense(dense)
