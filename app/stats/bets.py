"""Increments of e-detectors: what is bet against "nothing is wrong", in logs, the grid in the last axis.

Each has E[L | past] ≤ 1 under its null, stated beside it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlog1py, xlogy

from app.stats.conformal import MOST, z_of_p
from app.stats.intervals import clopper_pearson

Floats = NDArray[np.float64]

# Rates above the floor q0 that are looked for: q0 + (1 − q0) · these; from a change of .4 points to a total failure.
ABOVE = np.geomspace(0.004, 0.6, 16)
# Shares of the largest bet that cannot lose everything.
STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95])
# Bucket size at which the default shifts stand; a shift in the rate of δ is δ √(n / p(1−p)) standard deviations.
USUAL_ROWS, LEAST_SCALE = 500, 0.1


@dataclass(frozen=True)
class Bets:
    """Densities on (0, 1), each with integral 1, so that E[density(u)] = 1 for a uniform u.

    `shifts` D: the normal density shifted by D standard deviations, exp(Dz − D²/2), z the quantile of u.
    `tails` ε: `stake`/ε below ε and 1 − `stake` anywhere: for ranks, whose u can't be much below 1/#past.
    """

    shifts: tuple[float, ...]
    tails: tuple[float, ...] = ()
    stake: float = 0.9

    @cached_property
    def size(self) -> int:
        return len(self.shifts) + len(self.tails)

    @cached_property
    def _shifts(self) -> Floats:
        return np.array(self.shifts)

    @cached_property
    def _tails(self) -> Floats:
        return np.array(self.tails)

    def log_increments(self, u: ArrayLike, scale: ArrayLike = 1.0) -> Floats:
        """[...] → [..., size]. `scale` multiplies the shifts; it may depend on the bucket's size, not on its content.

        >>> NORMAL.log_increments(0.05).round(3).tolist()
        [0.697, 1.145, 1.342, 1.29, 0.435, -1.421]
        >>> Bets((), (0.01,)).log_increments([0.005, 0.5]).round(3).tolist()
        [[4.501], [-2.303]]
        """
        u = np.asarray(u, np.float64)
        shifts = np.asarray(scale, np.float64)[..., np.newaxis] * self._shifts
        normal = shifts * z_of_p(u)[..., np.newaxis] - shifts**2 / 2
        if not self.tails:
            return normal
        below = u[..., np.newaxis] < self._tails
        tail = np.log(np.where(below, 1 - self.stake + self.stake / self._tails, 1 - self.stake))
        return np.concatenate((normal, tail), axis=-1)

    def both_sides(self, u: ArrayLike, scale: ArrayLike = 1.0) -> Floats:
        """[...] → [..., 2·size]: the average of a detector of u and one of 1 − u looks for changes either way.

        >>> NORMAL.both_sides(0.5).shape
        (12,)
        """
        u = np.asarray(u, np.float64)
        return np.concatenate(
            (self.log_increments(u, scale), self.log_increments(np.minimum(1 - u, MOST), scale)), axis=-1
        )


# The grid of the specification, for buckets of about 500 rows and for ranks.
NORMAL = Bets((0.5, 1.0, 1.5, 2.0, 3.0, 4.0))
# For ranks with some hundred buckets of history: where u ends, a step pays more than a shift.
RANKED = Bets((1.0, 2.0), (0.04, 0.02, 0.01))


def scale_of(rows: ArrayLike) -> Floats:
    """How `NORMAL`'s shifts shrink for buckets below 500 rows, where the same change is fewer standard deviations.

    >>> scale_of([20, 100, 500, 100_000]).round(3).tolist()
    [0.2, 0.447, 1.0, 1.0]
    """
    return np.clip(np.sqrt(np.asarray(rows, np.float64) / USUAL_ROWS), LEAST_SCALE, 1.0)


def rate_floor(q0: float, x: ArrayLike, n: ArrayLike) -> Floats:
    """Likelihood ratios of x events in n rows, rates above `q0` against `q0`: valid for every event rate ≤ q0.

    Null: each row, given the past, is an event with probability ≤ q0. [...] → [..., 16]. n = 0 → 0.

    >>> rate_floor(0.05, 40, 500).max().round(3).tolist()
    4.028
    """
    if not 0 < q0 < 1:
        raise ValueError(f"q0: {q0} is not inside (0, 1)")
    x, n = np.asarray(x, np.float64)[..., np.newaxis], np.asarray(n, np.float64)[..., np.newaxis]
    q = q0 + (1 - q0) * ABOVE
    return np.asarray(xlogy(x, q / q0) + xlog1py(n - x, -(q - q0) / (1 - q0)))


def floor_of(x: int, n: int, alpha: float) -> float:
    """The floor a reference of x events in n rows allows: Clopper-Pearson's upper end, wrong with chance ≤ alpha/2.

    Run the detector at the other alpha/2; then both together are wrong with chance ≤ alpha. n = 0 → 1: no floor.

    >>> round(floor_of(500, 10_000, 0.05), 5)
    0.05445
    """
    return float(clopper_pearson(x, n, 1 - alpha)[1])


def mean_floor(m0: float, value: ArrayLike) -> Floats:
    """1 + λ (m0 − value), λ = STAKES / (1 − m0): valid for values in [0, 1] whose mean, given the past, is ≥ m0.

    Of a bucket's mean nothing else is assumed: any dependence inside it is allowed. Low is bad; a loss l with a ceiling
    L goes in as 1 − l/L. [...] → [..., 8]. (Waudby-Smith and Ramdas 2024.)

    >>> mean_floor(0.9, [0.8, 1.0]).round(3)[:, 4].tolist()
    [0.336, -0.511]
    """
    value = np.asarray(value, np.float64)[..., np.newaxis]
    if not 0 <= m0 < 1 or not ((value >= 0) & (value <= 1)).all():
        raise ValueError("value: values and their floor m0 must be in [0, 1], m0 below 1")
    return np.asarray(np.log1p(STAKES / (1 - m0) * (m0 - value)))
