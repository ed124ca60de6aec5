"""Intervals: of proportions and means, at a fixed n and at any time.

Every function takes arrays that broadcast (scalars work) and returns (low, high). n = 0 gives the whole range of a
proportion, NaN for a mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.polynomial.chebyshev import chebfit, chebval
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, betaln, ndtri, stdtrit, xlogy

Floats = NDArray[np.float64]
Ends = tuple[Floats, Floats]
Validity = Literal["fixed-n", "anytime"]

# Below this Wilson's coverage dips for rates near 0 and 1 (n = 50, p = .99: .911); Clopper-Pearson never does.
EXACT_BELOW = 200
# Looks at which the asymptotic sequence is tightest, and from which it may be shown: its error is asymptotic.
TIGHTEST_AT, ASYMPTOTIC_FROM = 5000, 500
SMOOTH_FROM, T_TERMS = 8.0, 19  # degrees of freedom from which t is smooth in 1/df, and the terms that takes


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate that travels with its interval. NaN ends: none can honestly be given, and `assumption` says why."""

    value: float
    low: float
    high: float
    level: float
    method: str
    n: int
    n_eff: float
    assumption: str
    validity: Validity


def z_of(level: float) -> float:
    """
    >>> round(z_of(0.95), 6)
    1.959964
    """
    return float(ndtri(0.5 + level / 2))


def t_of(level: float, df: ArrayLike) -> Floats:
    """Student's two-sided critical value; NaN for df ≤ 0.

    From df = 8 by a polynomial in 1/df through exact values, a hundredth of the inversion's cost: within 1e-14 up to
    level .99999.

    >>> t_of(0.95, [1, 10, 0]).round(3).tolist()
    [12.706, 2.228, nan]
    """
    df = np.asarray(df, np.float64)
    few = ~(df >= SMOOTH_FROM)
    found = np.asarray(chebval(2 * SMOOTH_FROM / np.where(few, np.inf, df) - 1, _t_series(level)), np.float64)
    some = few & (df > 0)
    found[few] = np.nan
    found[some] = stdtrit(df[some], 0.5 + level / 2)
    return found


@lru_cache(maxsize=64)
def _t_series(level: float) -> Floats:
    """Chebyshev coefficients over 1/df in (0, 1/8], from as many nodes."""
    node = np.cos(np.pi * (np.arange(T_TERMS) + 0.5) / T_TERMS)
    found: Floats = chebfit(node, stdtrit(2 * SMOOTH_FROM / (1 + node), 0.5 + level / 2), T_TERMS - 1)
    return found


def wilson(x: ArrayLike, n: ArrayLike, level: float = 0.95) -> Ends:
    """Score interval (Wilson 1927): the rates p with |x/n − p| ≤ z √(p(1−p)/n).

    >>> low, high = wilson(950, 1000)
    >>> round(float(low), 6), round(float(high), 6)
    (0.934686, 0.96187)
    """
    x, n = _floats(x, n)
    z2 = z_of(level) ** 2
    some = np.maximum(n, 1.0)
    center = (x + z2 / 2) / (some + z2)
    half = np.sqrt(z2 * (x * (some - x) / some + z2 / 4)) / (some + z2)
    # at the ends the formula gives 0 and 1 up to rounding
    low = np.where(x == 0, 0.0, center - half)
    return _whole(n, low, np.where(x == n, 1.0, center + half))


def clopper_pearson(x: ArrayLike, n: ArrayLike, level: float = 0.95) -> Ends:
    """Exact interval (Clopper and Pearson 1934), never below its level.

    Below n = 200 the ends are kept once computed: a long series of small buckets asks for the same few.

    >>> low, high = clopper_pearson([0, 48], [30, 50])
    >>> low.round(5).tolist(), high.round(5).tolist()
    ([0.0, 0.86286], [0.1157, 0.99512])
    """
    x, n = _floats(x, n)
    return _whole(n, _exact_low(x, n, level), 1.0 - _exact_low(n - x, n, level))


def _exact_low(x: Floats, n: Floats, level: float) -> Floats:
    """The α/2 quantile of Beta(x, n − x + 1); 0 at x = 0."""
    low = np.empty(x.shape)
    whole = (n < EXACT_BELOW) & (x == np.rint(x)) & (n == np.rint(n)) & (x >= 0) & (x <= n)
    small_x, small_n = x[whole].astype(np.int64), n[whole].astype(np.int64)
    table = _exact_table(level)
    missing = np.isnan(table[small_n, small_x])
    if missing.any():
        new_n, new_x = np.unique(np.stack((small_n[missing], small_x[missing])), axis=1)
        table[new_n, new_x] = _beta_low(new_x, new_n, level)
    low[whole] = table[small_n, small_x]
    low[~whole] = _beta_low(x[~whole], n[~whole], level)
    return low


@lru_cache(maxsize=8)
def _exact_table(level: float) -> Floats:
    return np.full((EXACT_BELOW, EXACT_BELOW), np.nan)


def _beta_low(x: NDArray[np.number], n: NDArray[np.number], level: float) -> Floats:
    inside = x > 0
    return np.where(inside, betaincinv(np.where(inside, x, 1), n - x + 1, 0.5 - level / 2), 0.0)


def proportion(
    x: ArrayLike, n: ArrayLike, level: float = 0.95, *, guaranteed: bool = False
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """What metrics show for a proportion: Clopper-Pearson below 200, Wilson from there. Third: where it was exact.

    `guaranteed`: Clopper-Pearson everywhere, which never covers less than its level.

    >>> low, high, exact = proportion([45, 450], [50, 500])
    >>> low.round(3).tolist(), high.round(3).tolist(), exact.tolist()
    ([0.782, 0.871], [0.967, 0.923], [True, False])
    """
    x, n = _floats(x, n)
    exact = (n < EXACT_BELOW) | guaranteed
    low, high = wilson(x, n, level)
    if exact.any():
        low[exact], high[exact] = clopper_pearson(x[exact], n[exact], level)
    return low, high, exact


def jeffreys(x: ArrayLike, n: ArrayLike, level: float = 0.95) -> Ends:
    """Quantiles of Beta(x + ½, n − x + ½), as statsmodels.

    >>> [round(float(end), 6) for end in jeffreys(0, 30)]
    [1.6e-05, 0.079678]
    """
    x, n = _floats(x, n)
    tail = 0.5 - level / 2
    return _whole(n, betaincinv(x + 0.5, n - x + 0.5, tail), betaincinv(x + 0.5, n - x + 0.5, 1 - tail))


def agresti_coull(x: ArrayLike, n: ArrayLike, level: float = 0.95) -> Ends:
    """Wald's interval after adding z²/2 successes and failures (Agresti and Coull 1998), cut to [0, 1].

    >>> [round(float(end), 6) for end in agresti_coull(48, 50)]
    [0.857774, 0.996586]
    """
    x, n = _floats(x, n)
    z2 = z_of(level) ** 2
    return _whole(n, *_wald(x + z2 / 2, n + z2, level))


def normal(x: ArrayLike, n: ArrayLike, level: float = 0.95) -> Ends:
    """Wald's interval, cut to [0, 1]. For comparison only: at n = 50, p = .99 it covers .395.

    >>> [round(float(end), 6) for end in normal(48, 50)]
    [0.905684, 1.0]
    """
    x, n = _floats(x, n)
    return _whole(n, *_wald(x, np.maximum(n, 1.0), level))


def _wald(x: Floats, n: Floats, level: float) -> Ends:
    p = x / n
    half = z_of(level) * np.sqrt(p * (1 - p) / n)
    return np.clip(p - half, 0.0, 1.0), np.clip(p + half, 0.0, 1.0)


def newcombe_diff(x1: ArrayLike, n1: ArrayLike, x2: ArrayLike, n2: ArrayLike, level: float = 0.95) -> Ends:
    """Interval of x1/n1 − x2/n2, independent (Newcombe 1998, method 10).

    >>> [round(float(end), 6) for end in newcombe_diff(45, 500, 25, 500)]
    [0.0083, 0.072472]
    """
    (x1, n1), (x2, n2) = _floats(x1, n1), _floats(x2, n2)
    p1, p2 = x1 / np.maximum(n1, 1.0), x2 / np.maximum(n2, 1.0)
    (l1, u1), (l2, u2) = wilson(x1, n1, level), wilson(x2, n2, level)
    return p1 - p2 - np.hypot(p1 - l1, u2 - p2), p1 - p2 + np.hypot(u1 - p1, p2 - l2)


def t_interval(mean: ArrayLike, variance: ArrayLike, n: ArrayLike, level: float = 0.95) -> Ends:
    """mean ± t(n − 1) √(variance / n); `variance` with n − 1 below. NaN for n < 2.

    >>> [round(float(end), 3) for end in t_interval(0.5, 0.04, 25)]
    [0.417, 0.583]
    """
    mean, variance, n = _floats(mean, variance, n)
    half = t_of(level, n - 1) * np.sqrt(variance / np.maximum(n, 1.0))
    return mean - half, mean + half


def beta_mixture(x: ArrayLike, n: ArrayLike, level: float = 0.95, *, prior: tuple[float, float] = (0.5, 0.5)) -> Ends:
    """Confidence sequence of a rate: P(the truth is ever outside, over all n) ≤ 1 − level.

    {q: log B(a+x, b+n−x) − log B(a, b) − x log q − (n−x) log(1−q) < log 1/α} (Robbins 1970; Howard et al. 2021).

    >>> [round(float(end), 6) for end in beta_mixture(50, 1000)]
    [0.02872, 0.07924]
    """
    x, n = _floats(x, n)
    a, b = prior
    evidence = betaln(a + x, b + n - x) - betaln(a, b) + np.log1p(-level)
    rate = x / np.maximum(n, 1.0)

    def outside(q: Floats) -> NDArray[np.bool_]:
        return np.asarray(evidence - xlogy(x, q) - xlogy(n - x, 1 - q) >= 0)

    low, high = _boundary(outside, np.stack([np.zeros_like(rate), np.ones_like(rate)]), np.stack([rate, rate]))
    return _whole(n, np.where(x == 0, 0.0, low), np.where(x == n, 1.0, high))


def _boundary(outside: Callable[[Floats], NDArray[np.bool_]], far: Floats, near: Floats) -> Floats:
    """Where `outside` changes between `far` (true) and `near` (false), by bisection, to the last bits."""
    for _ in range(64):
        middle = (far + near) / 2
        out = outside(middle)
        far, near = np.where(out, middle, far), np.where(out, near, middle)
    return far


def asymptotic(sd: ArrayLike, n: ArrayLike, level: float = 0.95, *, tightest_at: int = TIGHTEST_AT) -> Floats:
    """Half-width of the asymptotic confidence sequence of a mean (Waudby-Smith et al. 2024).

    sd √(2(nr+1)/(n²r) · log(√(nr+1)/α)), r = (−2 log α + log(1 − 2 log α)) / `tightest_at`. NaN at n = 0.

    >>> round(float(asymptotic(0.5, 5000)), 6)
    0.021462
    """
    sd, n = _floats(sd, n)
    alpha = 1 - level
    r = (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / tightest_at
    some = np.maximum(n, 1.0)
    half = sd * np.sqrt(2 * (some * r + 1) / (some**2 * r) * np.log(np.sqrt(some * r + 1) / alpha))
    return np.where(n > 0, half, np.nan)


def _floats(*values: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.broadcast_arrays(*(np.asarray(value, np.float64) for value in values)))


def _whole(n: Floats, low: Floats, high: Floats) -> Ends:
    """Nothing observed: the whole of [0, 1]."""
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)
