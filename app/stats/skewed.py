"""Means of losses that are never negative: mostly small, now and then large. The interval follows how skewed they are.

`strain` = 2 cv z / √n is the skewness of the mean's law in units of z, the losses' own skewness read as twice their
coefficient of variation (exact for gamma laws; log loss and Brier score of rare events are within a tenth and a half).
Measured over events of 0.2 to 50 % and 300 to 10,000 rows, the t-interval covers .93 and more up to .56, .91 at 1, .76
at 1.9; with the interval on the log scale joined to it .935 and more up to 1; beyond, only a bound's worst case does.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.stats.evidence import Estimates, Smooth, counted, notes
from app.stats.intervals import Interval, t_of, z_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

JOINED_ABOVE, BOUNDED_ABOVE = 0.5, 1.0
RARE = "large losses are rare: too few were seen for less than the worst case"


@dataclass(frozen=True, slots=True)
class PositiveMean:
    """A mean in [0, top] with its variance of one row."""

    smooth: Smooth
    top: float

    def fixed(self, level: float, *, guaranteed: bool = False) -> Estimates:
        plain, n = self.smooth.fixed(level), self.smooth.rows
        strained = strain(self.smooth.value, self.smooth.variance, n, level)
        bounded = (strained > BOUNDED_ABOVE) | (guaranteed & (n > 1))
        joined = (strained > JOINED_ABOVE) | bounded
        if not joined.any():
            return plain
        value, error = self.smooth.value, np.sqrt(self.smooth.variance / np.maximum(n, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.exp(t_of(level, n - 1) * error / value)
            high = np.where(joined, np.fmax(plain.high, np.minimum(value * times, self.top)), plain.high)
        reach = bernstein(self.smooth.variance, n, self.top, level)
        return replace(
            plain,
            low=np.where(bounded, np.maximum(value - reach, 0.0), plain.low),
            high=np.where(bounded, np.minimum(value + reach, self.top), high),
            method=tuple(np.select([bounded, joined], ["empirical bernstein", "t, joined by log t"], "t").tolist()),
            note=notes(plain.note, counted(strained > BOUNDED_ABOVE, RARE)),
        )

    def anytime(self, level: float) -> Interval:
        return self.smooth.anytime(level)


def strain(value: Floats, variance: Floats, n: Ints, level: float) -> Floats:
    """0 where it is unknown.

    >>> strain(np.array([0.1]), np.array([0.04]), np.array([400]), 0.95).round(3).tolist()
    [0.392]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * z_of(level) * np.sqrt(variance / np.maximum(n, 1)) / value
    return np.where(np.isfinite(found), found, 0.0)


def bernstein(variance: Floats, n: Ints, top: float, level: float) -> Floats:
    """Half-width for independent values in [0, top] of any law (Maurer and Pontil 2009, both sides).

    √(2 s² L / n) + 7 top L / (3 (n − 1)), L = log(4 / α).

    >>> bernstein(np.array([0.04]), np.array([1000]), 1.0, 0.95).round(4).tolist()
    [0.029]
    """
    size = np.log(4 / (1 - level))
    return np.asarray(np.sqrt(2 * variance * size / np.maximum(n, 1)) + 7 * top * size / (3 * np.maximum(n - 1, 1)))
