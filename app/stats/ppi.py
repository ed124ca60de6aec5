"""A few labels and many predictions of them: prediction-powered inference (PPI++), at a fixed n and at any time."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.betting import betting
from app.stats.intervals import ASYMPTOTIC_FROM, Interval, asymptotic, clopper_pearson, wilson, z_of
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]

FEWEST_ERRORS = 30  # labelled; below the normal law behind PPI covers .89 at n = 100
RANDOM = "the labelled rows are a random sample of all"


def ppi_rate(y: ArrayLike, f: ArrayLike, unlabelled: ArrayLike, *, level: float = 0.95) -> Interval:
    """The rate behind outcomes `y` (0, 1) that `f` predicts, with `f` known for `unlabelled` rows too.

    Wilson's interval with the n that would have PPI++'s variance (coverage .937 to .949 where the normal one has .891
    to .948). With fewer than 30 of either outcome the predictions are not used: Clopper-Pearson on the labels.

    >>> i, j = np.arange(2000), np.arange(20_000)
    >>> y, found = i % 5 != 0, 0.15 * np.sin(i)
    >>> known = ppi_rate(y, 0.2 + 0.7 * y + found, 0.2 + 0.7 * (j % 5 != 1) + 0.15 * np.sin(j))
    >>> known.method, round(known.value, 3), known.n_eff > 2 * 2000
    ('ppi++, wilson', 0.8, True)
    """
    y, f, unlabelled = _checked(y, f, unlabelled)
    n, hits = y.size, int(y.sum())
    if n == 0:
        return withheld(np.nan, 0, "ppi++", "no labelled rows", level=level)
    if ((y != 0) & (y != 1)).any():
        raise ValueError("y: outcomes are 0 or 1; ppi_mean takes other values")
    if min(hits, n - hits) < FEWEST_ERRORS:
        low, high = clopper_pearson(hits, n, level)
        reason = f"{RANDOM}; fewer than {FEWEST_ERRORS} of an outcome: the predictions are not used"
        return interval(hits / n, float(low), float(high), "clopper-pearson on labels", n, reason, level=level)
    value, error, _ = _estimate(y, f, unlabelled, None)
    value = float(np.clip(value, 0.0, 1.0))
    size = value * (1 - value) / error**2 if error > 0 and 0 < value < 1 else float(n)
    low, high = wilson(value * size, size, level)
    return interval(value, float(low), float(high), "ppi++, wilson", n, RANDOM, level=level, n_eff=size)


def ppi_mean(
    y: ArrayLike, f: ArrayLike, unlabelled: ArrayLike, *, weight: float | None = None, level: float = 0.95
) -> Interval:
    """Of any outcome, with the normal interval (Angelopoulos, Duchi and Zrnic 2023).

    θ = λ mean(f_u) + mean(y − λ f), λ = cov(y, f) / ((1 + n/N) var f) cut to [0, 1] unless given. n < 2: none.

    >>> i = np.arange(100)
    >>> round(ppi_mean(i % 5 != 0, (i % 5 != 0) * 0.9, np.full(1000, 0.72), weight=1.0).value, 6)
    0.8
    """
    y, f, unlabelled = _checked(y, f, unlabelled)
    if y.size < 2 or unlabelled.size < 2:
        return withheld(np.nan, y.size, "ppi++", "needs two labelled and two unlabelled rows", level=level)
    value, error, _ = _estimate(y, f, unlabelled, weight)
    half = z_of(level) * error
    size = float(y.var() / error**2) if error > 0 else float(y.size)
    assumption = f"{RANDOM}; asymptotic"
    return interval(value, value - half, value + half, "ppi++", y.size, assumption, level=level, n_eff=size)


def ppi_anytime(y: ArrayLike, f: ArrayLike, probability: ArrayLike, *, level: float = 0.95) -> Interval:
    """Looked at whenever labels come: every row's f + (y − f) / π where labelled, f elsewhere, has the right mean.

    All rows in one vector, `y` NaN where not labelled, `probability` with which each was to be labelled. The asymptotic
    sequence over rows; withheld below 500.

    >>> i = np.arange(5000)
    >>> y = np.where(i % 10 == 0, (i // 10) % 5 != 0, np.nan)
    >>> found = ppi_anytime(y, np.full(5000, 0.7), np.full(5000, 0.1))
    >>> round(found.value, 6), found.low < 0.8 < found.high
    (0.8, True)
    """
    y, f, probability = (np.asarray(values, np.float64) for values in (y, f, probability))
    n = y.size
    if ((probability <= 0) | (probability > 1)).any():
        raise ValueError("probability: each in (0, 1]")
    pseudo = f + np.where(np.isnan(y), 0.0, (y - f) / probability)
    value = float(pseudo.mean()) if n else np.nan
    if n < ASYMPTOTIC_FROM:
        reason = f"an asymptotic sequence needs {ASYMPTOTIC_FROM} rows"
        return withheld(value, n, "ppi pseudo-outcomes", reason, level=level)
    half = float(asymptotic(pseudo.std(), n, level))
    assumption = "rows are labelled with the probabilities given; asymptotic"
    return interval(
        value,
        value - half,
        value + half,
        "ppi pseudo-outcomes, asymptotic sequence",
        n,
        assumption,
        level=level,
        n_eff=float((~np.isnan(y)).sum()),
        validity="anytime",
    )


def ppi_betting(y: ArrayLike, f: ArrayLike, probability: ArrayLike, *, level: float = 0.95) -> Interval:
    """As `ppi_anytime` for `y` and `f` in [0, 1], with no asymptotics: from the first row on, and wider.

    The pseudo-outcomes lie in [1 − 1/π, 1/π] of the smallest probability, so the betting sequence holds for them.

    >>> i = np.arange(2000)
    >>> y = np.where(i % 4 == 0, (i // 4) % 5 != 0, np.nan)
    >>> found = ppi_betting(y, np.full(2000, 0.7), np.full(2000, 0.25))
    >>> found.low < 0.8 < found.high, found.validity
    (True, 'anytime')
    """
    y, f, probability = (np.asarray(values, np.float64) for values in (y, f, probability))
    if not ((probability > 0) & (probability <= 1)).all():
        raise ValueError("probability: each in (0, 1]")
    labelled = ~np.isnan(y)
    if not ((f >= 0) & (f <= 1)).all() or not ((y[labelled] >= 0) & (y[labelled] <= 1)).all():
        raise ValueError("y, f: values in [0, 1]")
    method = "ppi pseudo-outcomes, betting"
    if y.size == 0:
        return withheld(np.nan, 0, method, "no rows", level=level)
    reach = 1 / float(probability.min())
    pseudo = f + np.where(labelled, (y - f) / probability, 0.0)
    low, high = betting((pseudo - (1 - reach)) / (2 * reach - 1), level)
    ends = np.clip(np.array([low[-1], high[-1]]) * (2 * reach - 1) + 1 - reach, 0.0, 1.0)
    assumption = "rows are labelled with the probabilities given; each row's outcome has the same mean, given the past"
    value, known = float(pseudo.mean()), float(labelled.sum())
    return interval(value, ends[0], ends[1], method, y.size, assumption, level=level, n_eff=known, validity="anytime")


def _estimate(y: Floats, f: Floats, unlabelled: Floats, weight: float | None) -> tuple[float, float, float]:
    """θ, its standard error, λ."""
    n, more = y.size, unlabelled.size
    if weight is None:
        weight = min(max(power_weight(y, f, unlabelled), 0.0), 1.0)
    rest = y - weight * f
    error = np.sqrt(weight**2 * unlabelled.var() / more + rest.var() / n)
    return float(weight * unlabelled.mean() + rest.mean()), float(error), weight


def power_weight(y: Floats, f: Floats, unlabelled: Floats) -> float:
    """λ of the least variance, cov(y, f) / ((1 + n/N) var f), not cut to [0, 1]; 0 where f is constant.

    >>> round(power_weight(np.array([0.0, 1, 1, 0]), np.array([0.1, 0.8, 0.9, 0.2]), np.array([0.1, 0.8, 0.9, 0.2])), 3)
    0.613
    """
    spread = np.concatenate((f, unlabelled)).var(ddof=1)
    return float(np.cov(y, f, ddof=0)[0, 1] / ((1 + y.size / unlabelled.size) * spread)) if spread > 0 else 0.0


def _checked(*values: ArrayLike) -> tuple[Floats, Floats, Floats]:
    y, f, unlabelled = (np.asarray(value, np.float64).ravel() for value in values)
    if y.size != f.size:
        raise ValueError(f"y, f: {y.size} outcomes and {f.size} predictions of them")
    return y, f, unlabelled
