"""Two classifiers judged on the same items: who is right more often, and whose scores rank better."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, betaln, chdtrc, gammaln, ndtr

from app.stats.delong import delong
from app.stats.intervals import wilson, z_of
from app.stats.tested import Tested, interval, withheld

Floats = NDArray[np.float64]

ITEMS = "the items are independent draws; the two models see the same ones"


def mcnemar_exact(b: int, c: int) -> float:
    """P(a split of the b + c discordant items at least this uneven), each side with probability ½.

    >>> round(mcnemar_exact(25, 10), 8)
    0.01667385
    """
    return float(min(1.0, 2 * bdtr(float(min(b, c)), b + c, 0.5))) if b + c else 1.0


def mcnemar_mid_p(b: int, c: int) -> float:
    """The exact p less half the weight of what was seen: keeps its size and loses no power (Fagerland et al. 2013).

    1 where nothing is discordant.

    >>> round(mcnemar_mid_p(25, 10), 8), mcnemar_mid_p(4, 4)
    (0.01133098, 1.0)
    """
    n, low = b + c, min(b, c)
    if n == 0 or b == c:
        return 1.0
    seen = np.exp(gammaln(n + 1) - gammaln(low + 1) - gammaln(n - low + 1) - n * np.log(2))
    return float(2 * bdtr(float(low), n, 0.5) - seen)


def mcnemar_chi2(b: int, c: int) -> float:
    """With Edwards's continuity correction; shown for comparison with other tools.

    >>> round(mcnemar_chi2(25, 10), 8)
    0.01796048
    """
    return float(chdtrc(1, (abs(b - c) - 1.0) ** 2 / (b + c))) if b + c else 1.0


def mcnemar_log_e(b: int, c: int) -> float:
    """log e-value of one look at a stream: Beta(1, 1) mixture against ½, valid at any time.

    >>> round(mcnemar_log_e(25, 10), 6)
    1.648475
    """
    return float(betaln(1 + b, 1 + c) - betaln(1, 1) + (b + c) * np.log(2))


def mcnemar(both: int, b: int, c: int, neither: int, *, level: float = 0.95) -> Tested:
    """`b` items only the first got right, `c` only the second. Effect: the difference of the accuracies (b − c)/n.

    Mid-p, Tango's score interval.

    >>> found = mcnemar(820, 25, 10, 145)
    >>> round(found.p, 4), round(found.effect.value, 4), round(found.effect.low, 4), round(found.effect.high, 4)
    (0.0113, 0.015, 0.0036, 0.0277)
    """
    counts = (both, b, c, neither)
    if min(counts) < 0:
        raise ValueError(f"both, b, c, neither: counts, not {counts}")
    n = sum(counts)
    if n == 0:
        return Tested(withheld(np.nan, 0, "tango", "no items"), 0.0, 1.0, "the models are right equally often")
    low, high = tango(b, c, n, level)
    effect = interval((b - c) / n, low, high, "mcnemar mid-p, tango", n, ITEMS, level=level, n_eff=b + c)
    return Tested(effect, float(min(b, c)), mcnemar_mid_p(b, c), "the models are right equally often")


def tango(b: int, c: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a difference of paired proportions (Tango 1998): the Δ that the score test keeps.

    |b − c − nΔ| ≤ z √(n (2 q + Δ(1 − Δ))), q the restricted maximum-likelihood estimate of P(only second).
    Holds with b = c = 0, where Wald's would be a point.

    >>> [round(end, 3) for end in tango(0, 0, 50)]
    [-0.071, 0.071]
    """
    z, value = z_of(level), (b - c) / n
    ends = []
    for far in (-1.0, 1.0):
        outside, inside = far, value
        for _ in range(60):
            middle = (outside + inside) / 2
            if _score(middle, b, c, n) > z:
                outside = middle
            else:
                inside = middle
        ends.append(inside)
    return ends[0], ends[1]


def _score(delta: float, b: int, c: int, n: int) -> float:
    """|score statistic| of Δ; ∞ where the restricted variance is 0 and the data disagree."""
    linear = -b - c + (2 * n - b + c) * delta
    q = (np.sqrt(max(linear**2 + 8 * n * c * delta * (1 - delta), 0.0)) - linear) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    away = abs(b - c - n * delta)
    if away <= 1e-12 * n:
        return 0.0
    return float(away / np.sqrt(variance)) if variance > 0 else np.inf


def newcombe_paired(both: int, b: int, c: int, neither: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of (b − c)/n from two Wilson intervals and their correlation (Newcombe 1998 paired, method 10).

    >>> [round(end, 4) for end in newcombe_paired(36, 12, 2, 0)]
    [0.0569, 0.3404]
    """
    n = both + b + c + neither
    first, second = (both + b) / n, (both + c) / n
    low1, high1 = (float(end) for end in wilson(both + b, n, level))
    low2, high2 = (float(end) for end in wilson(both + c, n, level))
    margins = float(both + b) * (c + neither) * (both + c) * (b + neither)
    cross = both * neither - b * c
    corrected = max(cross - n / 2, 0.0) if cross > 0 else float(cross)
    phi = corrected / np.sqrt(margins) if margins > 0 else 0.0

    def reach(one: float, other: float) -> float:
        return float(np.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0)))

    difference = first - second
    return difference - reach(first - low1, high2 - second), difference + reach(high1 - first, second - low2)


def delong_pair(actual: ArrayLike, first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> Tested:
    """Difference of two areas under the ROC curve on the same rows (DeLong 1988).

    One outcome only, or fewer than two of one: no test. Equal rankings: p = 1.

    >>> y = np.arange(40) % 4 == 0
    >>> found = delong_pair(y, np.sin(1.7 * np.arange(40)) + 2 * y, np.cos(2.3 * np.arange(40)))
    >>> round(found.effect.value, 4), found.p < 0.05
    (0.4633, True)
    """
    actual = np.asarray(actual, np.bool_)
    scores = np.stack((np.asarray(first, np.float64), np.asarray(second, np.float64)))
    if scores.shape[1] != actual.size:
        raise ValueError(f"first, second: {scores.shape[1]} scores for {actual.size} outcomes")
    null, n = "the two areas are equal", actual.size
    rarer = int(min(actual.sum(), (~actual).sum()))
    if rarer < 2:
        return Tested(withheld(np.nan, n, "delong", "needs two rows of either outcome"), np.nan, np.nan, null)
    area, covariance = delong(actual, scores)
    value = float(area[0] - area[1])
    error = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0)))
    if error <= 1e-15:
        degenerate = "the two rankings differ by nothing random"
        return Tested(withheld(value, n, "delong", degenerate), 0.0, 1.0 if value == 0 else np.nan, null)
    z, half = value / error, z_of(level) * error
    low, high = max(value - half, -1.0), min(value + half, 1.0)
    effect = interval(value, low, high, "delong, paired", n, f"{ITEMS}; asymptotic", level=level, n_eff=rarer)
    return Tested(effect, z, float(2 * ndtr(-abs(z))), null)
