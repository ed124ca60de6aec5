"""Smoothed conformal p-values of a bucket against its history: of counts (H) and of ranks (R).

Both are exactly uniform and independent over time while the assumption holds, with no rate known (Vovk, Gammerman and
Shafer 2005, theorem 8.2; for counts the same backward conditioning on the running sum). Large values of `x` are bad:
small p.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

# Beyond 12 standard deviations and 24 more (rare events are skewed) p < 10⁻³⁰: the sum's window need be no wider.
REACH, AND_MORE = 12.0, 24
LEAST, MOST = 1e-30, 1.0 - 2.0**-53


def count_p(history_n: ArrayLike, history_x: ArrayLike, n: ArrayLike, x: ArrayLike, v: ArrayLike) -> Floats:
    """H: P(Hyp > x) + v P(Hyp = x), Hyp the events among `n` of the `history_n + n` rows with `history_x + x` events.

    Arrays that broadcast, whole numbers, 0 ≤ x ≤ n. Uniform if the rows of history and bucket are exchangeable (iid,
    say). Without history, or with n = 0: v. Terms come by ratios from the window's left end and are normalised, so that
    no log-gamma of millions loses digits.

    >>> count_p(10_000, 500, 500, 40, 0.5).round(10).tolist()
    0.0027463575
    >>> count_p([0, 100], [0, 50], [10, 0], [3, 0], 0.25).tolist()
    [0.25, 0.25]
    """
    rows, events, drawn, seen, smooth = np.broadcast_arrays(
        *(np.asarray(a, np.float64) for a in (history_n, history_x, n, x, v))
    )
    whole, marked = rows + drawn, events + seen
    share = marked / np.maximum(whole, 1.0)
    spread = np.sqrt(drawn * share * (1 - share) * rows / np.maximum(whole - 1, 1.0))
    least, most = np.maximum(0.0, drawn - (whole - marked)), np.minimum(drawn, marked)
    first = np.maximum(least, np.floor(drawn * share - REACH * spread) - AND_MORE)
    last = np.minimum(most, np.ceil(drawn * share + REACH * spread) + AND_MORE)
    k = first[..., np.newaxis] + np.arange(int((last - first).max(initial=0.0)) + 1)
    mass = _masses(k, marked[..., np.newaxis], drawn[..., np.newaxis], whole[..., np.newaxis])
    x_ = seen[..., np.newaxis]
    # a running sum adds in order, so that a wider window (another monitor beside this one) changes no bit
    total = mass.cumsum(axis=-1)[..., -1]
    above = np.where(k > x_, mass, 0.0).cumsum(axis=-1)[..., -1]
    at = np.where(k == x_, mass, 0.0).cumsum(axis=-1)[..., -1]
    return np.asarray(np.clip((above + smooth * at) / total, LEAST, MOST))


def _masses(k: Floats, marked: Floats, drawn: Floats, whole: Floats) -> Floats:
    """Hypergeometric masses at k = first, first + 1, …, largest = 1; exp(−700) and less beyond the support."""
    here = k[..., :-1]
    ratio = (marked - here) * (drawn - here) / ((here + 1) * (whole - marked - drawn + here + 1))
    steps = np.log(np.maximum(ratio, 1e-304))
    logs = np.concatenate((np.zeros((*steps.shape[:-1], 1)), steps.cumsum(axis=-1)), axis=-1)
    return np.asarray(np.exp(logs - logs.max(axis=-1, keepdims=True)))


def rank_p(above: ArrayLike, equal: ArrayLike, past: ArrayLike, v: ArrayLike) -> Floats:
    """R: (#{past > x} + v (#{past = x} + 1)) / (#past + 1).

    Uniform if the *buckets* are exchangeable: whatever happens inside a bucket, and any over-dispersion, is allowed.
    Its resolution is the history's: p is never below v / (#past + 1).

    >>> rank_p(0, 1, 5, 0.25).tolist()
    0.08333333333333333
    """
    above, equal, past, v = (np.asarray(a, np.float64) for a in (above, equal, past, v))
    return np.asarray(np.clip((above + v * (equal + 1)) / (past + 1), LEAST, MOST))


@dataclass(frozen=True, slots=True)
class Past:
    """Earlier statistics: distinct `values`, ascending, and how many `times` each came; `total` of them.

    Values are kept as `coarse` as they may be, so that a year of hours is some hundred numbers. p stays exactly
    uniform: the rounding does not look at the data, and ties are broken at random.
    """

    values: tuple[float, ...] = ()
    times: tuple[int, ...] = ()
    total: int = 0

    @classmethod
    def of(cls, values: Sequence[float], times: Sequence[int] = ()) -> "Past":
        """From its `parts`: once each where no times are given."""
        often = tuple(times) or (1,) * len(values)
        return cls(tuple(values), often, sum(often))

    def parts(self) -> list[list[float] | list[int]]:
        """Values, and times where any is more than one.

        >>> Past.of(*Past().joined(2.0).joined(2.0).parts()).total
        2
        """
        return [list(self.values), *([list(self.times)] if self.total > len(self.values) else [])]

    def rank(self, value: float) -> tuple[int, int]:
        """How many are above the value, and equal to it.

        >>> Past().joined(22).joined(24).joined(30).joined(30).rank(24)
        (2, 1)
        """
        value = coarse(value)
        at = bisect_left(self.values, value)
        equal = self.times[at] if at < len(self.values) and self.values[at] == value else 0
        return self.total - sum(self.times[:at]) - equal, equal

    def joined(self, value: float) -> "Past":
        """
        >>> Past().joined(0.95).joined(0.95004).times
        (2,)
        """
        value = coarse(value)
        at = bisect_left(self.values, value)
        if at < len(self.values) and self.values[at] == value:
            times = (*self.times[:at], self.times[at] + 1, *self.times[at + 1 :])
            return Past(self.values, times, self.total + 1)
        values = (*self.values[:at], value, *self.values[at:])
        return Past(values, (*self.times[:at], 1, *self.times[at:]), self.total + 1)


def coarse(value: float) -> float:
    """A rate to four decimals, or to three digits of what it is away from 0 or 1; another number to four digits.

    >>> coarse(0.950049), coarse(0.00123456), coarse(0.99987654), coarse(123.456), coarse(-98764.0)
    (0.95, 0.00123, 0.999877, 123.5, -98760.0)
    """
    if not isfinite(value):
        return value
    size = abs(value)
    if size < 1:
        return round(value, 3 + bisect_left(_TENTHS, -min(size, 1 - size), lo=1))
    return round(value, 4 - bisect_right(_TENS, size))


_TENTHS = tuple(-float(f"1e{-k}") for k in range(1, 16))  # rising: −.1, −.01, …
_TENS = tuple(float(f"1e{k}") for k in range(31))


def z_of_p(p: ArrayLike) -> Floats:
    """The normal quantile with p above it.

    >>> round(float(z_of_p(0.05)), 6)
    1.644854
    """
    return np.asarray(-ndtri(p), np.float64)
