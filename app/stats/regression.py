"""Metrics of numbers: from exact sums, so they hold also where the mean dwarfs the spread."""

import numpy as np
from numpy.typing import NDArray

from app.stats.classification import moments
from app.stats.codes import Task
from app.stats.counting import (
    ABS,
    ERROR,
    ERROR_2,
    ERROR_2_Y,
    ERROR_2_Y_2,
    ERROR_4,
    RATIO,
    RATIO_2,
    Y_2,
    Y_3,
    Y_4,
    Y,
)
from app.stats.doubledouble import DD
from app.stats.evidence import LOG_REST, PLAIN, SQUARE, Evidence, Smooth, counted, notes, unlabelled
from app.stats.fixedpoint import FOURTH_BITS, RATIO_BITS, UNIT
from app.stats.registry import metric
from app.stats.tally import Tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REGRESSION = (Task.REGRESSION,)
FEW = "fewer than 2 rows: no interval"
SKEWED = "fewer than 1,000 rows: where errors have heavy tails the interval may cover less than it says"


@metric(tasks=REGRESSION, direction="lower", meaning="Mean absolute error.")
def mae(tally: Tally) -> Evidence:
    mean, variance = moments(tally.sum(ABS), tally.sum(ERROR_2), tally.labelled)
    return _mean(tally, mean, variance, (0.0, np.inf))


@metric(tasks=REGRESSION, direction="lower", meaning="Root of the mean squared error.")
def rmse(tally: Tally) -> Evidence:
    """The t-interval of the squared errors, its ends' roots."""
    mean, variance = _squares(tally)
    value, spread = np.ldexp(np.sqrt(mean), -UNIT), np.ldexp(variance, -4 * UNIT)
    return Smooth(value, spread, tally.labelled, SQUARE, "t", (0.0, np.inf), _note(tally, SKEWED), student=True)


@metric(tasks=REGRESSION, direction="lower", meaning="Mean squared error.")
def mse(tally: Tally) -> Evidence:
    mean, variance = _squares(tally)
    value, spread = np.ldexp(mean, -2 * UNIT), np.ldexp(variance, -4 * UNIT)
    return Smooth(value, spread, tally.labelled, PLAIN, "t", (0.0, np.inf), _note(tally, SKEWED), student=True)


@metric(tasks=REGRESSION, meaning="Share of the target's variance that is explained.")
def r2(tally: Tally) -> Evidence:
    """1 − Σe²/Σ(y − ȳ)². A constant target gives 1 if all errors are 0, else 0; fewer than two rows NaN (scikit-learn).

    Interval: delta method on log(1 − R²), whose influence function is e²/mean(e²) − (y − ȳ)²/var(y).
    """
    n = tally.labelled
    sums = zip(n.tolist(), tally.exact(Y), tally.exact(Y_2), strict=True)
    spread = np.array([float(rows * squares - total * total) for rows, total, squares in sums])  # n Σ(y − ȳ)²
    constant = spread == 0
    errors = tally.sum(ERROR_2).value()
    rest = np.where(constant, errors > 0, errors * np.maximum(n, 1) / np.where(constant, 1.0, spread))
    value = np.where(n > 1, 1.0 - rest, np.nan)
    return Smooth(
        value=value,
        variance=np.where(constant | (errors == 0), np.nan, _log_rest_variance(tally, spread)),
        rows=n,
        axis=LOG_REST,
        method="delta",
        limits=(-np.inf, 1.0),
        student=True,
        note=notes(_note(tally), counted((n > 1) & constant, "constant target: 1 or 0 by convention")),
    )


@metric(tasks=REGRESSION, direction="zero", meaning="Mean of predicted − actual.")
def bias(tally: Tally) -> Evidence:
    mean, variance = moments(tally.sum(ERROR), tally.sum(ERROR_2), tally.labelled)
    return _mean(tally, mean, variance, (-np.inf, np.inf))


@metric(tasks=REGRESSION, direction="lower", meaning="Mean of |error/actual| over the rows whose actual is not 0.")
def mape(tally: Tally) -> Evidence:
    """A share, not per cent, as in scikit-learn; `n` is the number of rows whose actual is not 0.

    An actual below 2^-53 of its prediction, or below 2^-70, counts as 0.
    """
    n = tally.nonzero
    mean, variance = moments(tally.sum(RATIO), tally.sum(RATIO_2), n)
    return Smooth(
        value=np.ldexp(mean, -RATIO_BITS),
        variance=np.ldexp(variance, -2 * RATIO_BITS),
        rows=n,
        axis=PLAIN,
        method="t",
        limits=(0.0, np.inf),
        student=True,
        note=notes(
            unlabelled(n, "no labelled rows with an actual other than 0"),
            counted(n < tally.labelled, "rows whose actual is 0 are left out"),
        ),
    )


def _mean(tally: Tally, mean: Floats, variance: Floats, limits: tuple[float, float]) -> Smooth:
    value, spread = np.ldexp(mean, -UNIT), np.ldexp(variance, -2 * UNIT)
    return Smooth(value, spread, tally.labelled, PLAIN, "t", limits, _note(tally), student=True)


def _squares(tally: Tally) -> tuple[Floats, Floats]:
    return moments(tally.sum(ERROR_2), tally.sum(ERROR_4).times(FOURTH_BITS), tally.labelled)


def _log_rest_variance(tally: Tally, spread: Floats) -> Floats:
    """Variance of one row of log(1 − R²): central moments of y and its products with e², in the sums' own units.

    Where ȳ dwarfs the spread so that these drown in rounding, y is taken as normal and the covariance, which is rarely
    negative, as 0.
    """
    n = np.maximum(tally.labelled, 1)
    count = DD.of(n)
    inverse = 1.0 / n
    s1, s2, s3 = tally.sum(Y), tally.sum(Y_2), tally.sum(Y_3)
    s4 = tally.sum(Y_4).times(FOURTH_BITS)
    mean = DD(s1.value() * inverse, np.zeros(n.shape))  # any number near ȳ will do: the moments are about it exactly
    square = mean * mean
    fourth = (
        s4 - (mean * s3).times(2) + _times(square * s2, 6) - (square * mean * s1).times(2) + square * square * count
    )
    e2, e4 = tally.sum(ERROR_2), tally.sum(ERROR_4).times(FOURTH_BITS)
    crossed = tally.sum(ERROR_2_Y_2).times(FOURTH_BITS) - (mean * tally.sum(ERROR_2_Y)).times(1) + square * e2
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = spread * inverse**2
        error = e2.value() * inverse
        errors = e4.value() * inverse / error**2 - 1
        targets = fourth.value() * inverse / variance**2 - 1
        covariance = crossed.value() * inverse / (error * variance) - 1
        exact = errors + targets - 2 * covariance
        trusted = (mean.high**2 < 500.0**2 * variance) & (exact > 0)
        return np.where(trusted, exact, errors + 2.0)


def _times(a: DD, factor: int) -> DD:
    return DD(a.high * factor, a.low * factor)  # exact enough: the product keeps 100 bits


def _note(tally: Tally, small: str = "") -> str:
    n = tally.labelled
    return notes(unlabelled(n), counted(n == 1, FEW), counted((n > 1) & (n < 1000), small))
