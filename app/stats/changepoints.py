"""When did it change? The moments at which a series of bucket values moved, each with the range it lies in.

For explaining what a monitor has found: a search over all moments always finds something, so it is no alarm itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.intervals import Interval, Validity, t_interval
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]

# Times log n, per change: 2 for its moment and level, and more because the moment is searched for. Chosen so that a
# constant series of 50 buckets or more shows a change in fewer than 1 of 100 cases, one of 20 in 3 (see the tests).
PENALTY = 4.0
FEWEST = 3  # buckets of a stretch
STEADY = "buckets are independent with one spread; levels are constant between changes"


@dataclass(frozen=True, slots=True)
class Change:
    """The first bucket of the new level, and the buckets `first` … `last` in which that lies at `level`."""

    bucket: int
    first: int
    last: int
    level: float
    before: Interval
    after: Interval
    method: str = "optimal partitioning, likelihood set"
    assumption: str = STEADY
    validity: Validity = "fixed-n"


def changepoints(
    values: ArrayLike, weights: ArrayLike | None = None, *, penalty: float = PENALTY, level: float = 0.95
) -> tuple[Change, ...]:
    """The partition with the least weighted squares + penalty · log n · spread per change (PELT, Killick et al. 2012).

    `weights`: rows per bucket (variance of a value ∝ 1/weight). NaN values and zero weights are passed over. The
    spread is robust, from neighbours' differences. Fewer than 6 buckets: no change is looked for.

    >>> series = np.concatenate((np.full(30, 0.95), np.full(20, 0.90))) + 0.005 * np.sin(np.arange(50) ** 2)
    >>> [(change.bucket, change.first, change.last) for change in changepoints(series)]
    [(30, 30, 30)]
    """
    y = np.asarray(values, np.float64)
    w = np.ones_like(y) if weights is None else np.asarray(weights, np.float64)
    if y.shape != w.shape or y.ndim != 1:
        raise ValueError(f"values, weights: {y.size} and {w.size} buckets")
    kept = np.flatnonzero(np.isfinite(y) & (w > 0))
    y, w = y[kept], w[kept]
    if y.size < 2 * FEWEST:
        return ()
    spread = _spread(y, w)
    if spread == 0:
        spread = 1e-24 + float(np.finfo(np.float64).eps * np.abs(y).max()) ** 2
    sums = _Sums.of(y, w)
    starts = _partition(sums, penalty * np.log(y.size) * spread)
    return tuple(_change(sums, starts, i, spread, kept, level) for i in range(1, len(starts) - 1))


@dataclass(frozen=True, slots=True)
class _Sums:
    """Cumulated from 0: weights, weighted values and squares, of values less `center`."""

    w: Floats
    wy: Floats
    wyy: Floats
    center: float

    @classmethod
    def of(cls, y: Floats, w: Floats) -> "_Sums":
        center = float(np.average(y, weights=w))
        y = y - center
        weights, first, second = (np.concatenate(([0.0], np.cumsum(part))) for part in (w, w * y, w * y * y))
        return cls(weights, first, second, center)

    def cost(self, start: NDArray[np.intp] | int, end: NDArray[np.intp] | int) -> Floats:
        """Weighted squares about the mean of buckets start … end−1."""
        w, wy = self.w[end] - self.w[start], self.wy[end] - self.wy[start]
        return np.asarray(self.wyy[end] - self.wyy[start] - wy * wy / w)


def _spread(y: Floats, w: Floats) -> float:
    """Variance of a value of weight 1: median of neighbours' squared, scaled differences over χ²₁'s median."""
    scaled = np.diff(y) ** 2 / (1 / w[1:] + 1 / w[:-1])
    found = float(np.median(scaled)) / 0.4549364231195724
    return found if found > 0 else float(scaled.mean())


def _partition(sums: _Sums, penalty: float) -> list[int]:
    """Starts of the stretches, and the end. Dynamic programming over ends; starts that can't win again are dropped."""
    n = sums.w.size - 1
    best, origin = np.full(n + 1, np.inf), np.zeros(n + 1, np.intp)
    best[0] = -penalty
    open_starts = np.array([0], np.intp)
    for end in range(FEWEST, n + 1):
        cost = best[open_starts] + sums.cost(open_starts, end) + penalty
        chosen = int(cost.argmin())
        best[end], origin[end] = cost[chosen], open_starts[chosen]
        alive = open_starts[cost - penalty <= best[end]]
        fresh = end - FEWEST + 1  # from now on a stretch may start here
        open_starts = np.append(alive, fresh) if np.isfinite(best[fresh]) else alive
    starts = [n]
    while starts[-1] > 0:
        starts.append(int(origin[starts[-1]]))
    return starts[::-1]


def _change(sums: _Sums, starts: list[int], i: int, spread: float, kept: NDArray[np.intp], level: float) -> Change:
    """The moments whose likelihood is within log(2/α) of the best: a likelihood ratio rises above that on either side
    of the true moment with probability at most α/2 (Ville)."""
    start, at, end = starts[i - 1], starts[i], starts[i + 1]
    moments = np.arange(start + 1, end)
    cost = sums.cost(start, moments) + sums.cost(moments, end)
    near = moments[cost <= cost.min() + 2 * spread * np.log(2 / (1 - level))]
    return Change(
        bucket=int(kept[at]),
        first=int(kept[min(near[0], at)]),
        last=int(kept[max(near[-1], at)]),
        level=level,
        before=_level(sums, start, at, level),
        after=_level(sums, at, end, level),
    )


def _level(sums: _Sums, start: int, end: int, level: float) -> Interval:
    n, w = end - start, float(sums.w[end] - sums.w[start])
    mean = sums.center + float(sums.wy[end] - sums.wy[start]) / w
    if n < 2:
        return withheld(mean, n, "t over buckets", "one bucket", level=level)
    variance = float(sums.cost(start, end)) / (n - 1) * n / w
    low, high = t_interval(mean, variance, n, level)
    return interval(mean, float(low), float(high), "t over buckets", n, STEADY, level=level)
