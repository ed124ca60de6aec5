"""Intervals of any statistic by resampling: BCa, whole clusters at once, and two short cuts that resample counts.

A statistic is given as a function of weights: how often each row (or cluster) was drawn, [B, n] → [B]. So nothing is
ever copied or sorted again.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from app.stats.intervals import Interval
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

RESAMPLES = 9_999
ROWS_AT_ONCE = 1 << 20  # weights held at a time
SMALL = 20  # groups; below, resampling them covers less than it says (Cameron, Gelbach and Miller 2008)


def mean_of(values: ArrayLike) -> Statistic:
    """The weighted mean of rows as a statistic for `bca`.

    >>> mean_of([1.0, 4.0])(np.array([[1, 1], [2, 0]])).tolist()
    [2.5, 1.0]
    """
    x = np.asarray(values, np.float64)
    return lambda weights: weights @ x / weights.sum(axis=-1)


def ratio_of(above: ArrayLike, below: ArrayLike) -> Statistic:
    """Σ above / Σ below of the drawn rows: precision, recall, F1 as 2tp / (2tp + fp + fn).

    >>> ratio_of([1, 0, 1], [1, 1, 1])(np.ones((1, 3))).round(3).tolist()
    [0.667]
    """
    a, b = np.asarray(above, np.float64), np.asarray(below, np.float64)
    return lambda weights: (weights @ a) / (weights @ b)


def bca(
    statistic: Statistic,
    n: int,
    random: np.random.Generator,
    *,
    clusters: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """Bias-corrected and accelerated interval (Efron 1987).

    `clusters` [n] group numbers: whole groups are drawn, and left out whole by the jackknife. Fewer than two units, or
    a statistic that no resample changes: no interval.

    >>> d = np.array([0.012, 0.004, 0.009, -0.002, 0.011, 0.006, 0.003, 0.01, 0.008, 0.001])
    >>> found = bca(mean_of(d), 10, np.random.default_rng(0))
    >>> round(found.low, 3), round(found.high, 3)
    (0.003, 0.009)
    """
    groups = _groups(clusters, n)
    units = n if groups is None else int(groups.max(initial=-1)) + 1
    method = "bca" if groups is None else "bca over clusters"
    if units < 2:
        value = float(statistic(np.ones((1, n)))[0]) if n else np.nan
        return withheld(value, n, method, "needs two rows or clusters", level=level)
    value = float(statistic(np.ones((1, n)))[0])
    drawn = _resampled(statistic, n, groups, units, resamples, random)
    left_out = _jackknife(statistic, n, groups, units)
    assumption = f"the {units} {'rows' if groups is None else 'clusters'} are independent draws"
    if groups is not None and units < SMALL:
        assumption += f"; fewer than {SMALL} clusters: covers less than its level"
    drawn, left_out = drawn[np.isfinite(drawn)], left_out[np.isfinite(left_out)]
    if drawn.size < resamples / 2 or np.ptp(drawn) == 0:
        return withheld(value, n, method, "the resamples do not vary or are undefined", level=level)
    low, high = np.quantile(drawn, _corrected(drawn, value, left_out, level))
    return interval(value, low, high, method, n, assumption, level=level, n_eff=units)


def _corrected(drawn: Floats, value: float, left_out: Floats, level: float) -> Floats:
    """The two quantiles to read, from the bias z₀ and the acceleration a."""
    share = ((drawn < value).mean() + (drawn <= value).mean()) / 2
    bias = ndtri(np.clip(share, 0.5 / drawn.size, 1 - 0.5 / drawn.size))
    away = left_out.mean() - left_out
    spread = float((away**2).sum())
    acceleration = float((away**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    z = bias + ndtri(np.array([0.5 - level / 2, 0.5 + level / 2]))
    return np.asarray(ndtr(bias + z / (1 - acceleration * z)))


def _groups(clusters: ArrayLike | None, n: int) -> NDArray[np.intp] | None:
    if clusters is None:
        return None
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if groups.size != n:
        raise ValueError(f"clusters: {groups.size} numbers for {n} rows")
    return groups


def _resampled(
    statistic: Statistic,
    n: int,
    groups: NDArray[np.intp] | None,
    units: int,
    resamples: int,
    random: np.random.Generator,
) -> Floats:
    at_once = max(1, ROWS_AT_ONCE // max(n, 1))
    found = []
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        weights = draw_counts(random, units, rows)
        found.append(statistic(weights if groups is None else weights[:, groups]))
    return np.concatenate(found)


def draw_counts(random: np.random.Generator, units: int, resamples: int) -> Floats:
    """[resamples, units] how often each unit is drawn in `units` draws with replacement.

    >>> draw_counts(np.random.default_rng(0), 5, 2).sum(axis=1).tolist()
    [5.0, 5.0]
    """
    drawn = random.integers(0, units, (resamples, units), dtype=np.int64)
    drawn += np.arange(resamples)[:, np.newaxis] * units
    return np.bincount(drawn.ravel(), minlength=resamples * units).reshape(resamples, units).astype(np.float64)


def _jackknife(statistic: Statistic, n: int, groups: NDArray[np.intp] | None, units: int) -> Floats:
    """Of at most 1,000 units, each left out alone; more are left out in 1,000 blocks (the grouped jackknife)."""
    blocks = np.arange(units) * min(units, 1000) // units
    of_row = blocks if groups is None else blocks[groups]
    count = int(blocks[-1]) + 1
    at_once = max(1, ROWS_AT_ONCE // max(n, 1))
    found = []
    for start in range(0, count, at_once):
        wanted = np.arange(start, min(start + at_once, count))
        found.append(statistic((of_row[np.newaxis] != wanted[:, np.newaxis]).astype(np.float64)))
    return np.concatenate(found)


def paired_accuracy(
    b: int, c: int, n: int, random: np.random.Generator, *, resamples: int = RESAMPLES, level: float = 0.95
) -> Interval:
    """Percentile bootstrap of (b − c)/n: drawing rows is drawing the three outcome counts, so they alone are drawn.

    >>> found = paired_accuracy(250, 100, 10_000, np.random.default_rng(1))
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.015, 0.011, 0.018)
    """
    if not 0 <= b + c <= n:
        raise ValueError(f"b, c: {b} and {c} discordant of {n}")
    if n == 0:
        return withheld(np.nan, 0, "multinomial bootstrap", "no items", level=level)
    drawn = random.multinomial(n, [b / n, c / n, max(1 - (b + c) / n, 0.0)], size=resamples)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [0.5 - level / 2, 0.5 + level / 2])
    assumption = "the items are independent draws"
    return interval((b - c) / n, low, high, "multinomial bootstrap", n, assumption, level=level, n_eff=b + c)
