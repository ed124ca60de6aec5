"""Two models on many data sets: Wilcoxon's signed-rank test with its exact distribution, ties and zeros included."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from app.stats.intervals import z_of
from app.stats.tested import Tested, interval, withheld

Floats = NDArray[np.float64]

FEWEST = 6  # with 5 pairs the smallest two-sided p is 1/16
EXACT_UPTO = 50  # the distribution of the sum is counted up to here, normal above
NULL = "the differences are symmetric about 0"
METHOD = "wilcoxon signed-rank"


def wilcoxon(differences: ArrayLike, *, level: float = 0.95) -> Tested:
    """Statistic: the smaller rank sum. Effect: Hodges and Lehmann's median of the pairwise means.

    Zeros as Pratt 1959: ranked, then dropped. Up to 50 pairs p counts the 2^n sign changes of the ranks as they are,
    so ties keep it exact; above, the normal approximation with tie correction. Fewer than 6 non-zero pairs are refused:
    they cannot reach .05.

    >>> d = [0.012, 0.004, 0.009, -0.002, 0.011, 0.006, 0.003, 0.01, 0.008, 0.001]
    >>> found = wilcoxon(d)
    >>> found.statistic, round(found.p, 9), round(found.effect.value, 4)
    (2.0, 0.005859375, 0.0065)
    """
    d = np.asarray(differences, np.float64).ravel()
    if not np.isfinite(d).all():
        raise ValueError("differences: finite numbers are needed")
    used = int((d != 0).sum())
    value = _hodges_lehmann(d)
    if used < FEWEST:
        reason = f"{used} non-zero pairs cannot reach .05; {FEWEST} are needed"
        return Tested(withheld(value, d.size, METHOD, reason), np.nan, np.nan, NULL)
    ranks = midranks(np.abs(d))
    above, below = float(ranks[d > 0].sum()), float(ranks[d < 0].sum())
    ranked = ranks[d != 0]
    p = _exact_p(ranked, min(above, below)) if used <= EXACT_UPTO else _normal_p(ranked, above)
    low, high = _ends(d, level)
    method = f"{METHOD}, {'exact' if used <= EXACT_UPTO else 'normal'}"
    effect = interval(value, low, high, method, d.size, "pairs are independent; " + NULL, level=level, n_eff=used)
    return Tested(effect, min(above, below), p, NULL)


def midranks(values: Floats) -> Floats:
    """1 … n along the last axis of a vector, ties sharing their mean rank.

    >>> midranks(np.array([5.0, 1.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])


def _exact_p(ranks: Floats, smaller: float) -> float:
    """Twice the share of sign changes with a sum at most `smaller`; sums counted in halves, since midranks are."""
    weights = _sum_distribution(ranks)
    return float(min(1.0, 2 * weights[: round(2 * smaller) + 1].sum()))


def _sum_distribution(ranks: Floats) -> Floats:
    """P(rank sum = i/2) when each sign is a fair coin."""
    steps = np.rint(2 * ranks).astype(np.int64)
    weights = np.zeros(int(steps.sum()) + 1)
    weights[0] = 1.0
    for step in steps:
        moved = np.zeros_like(weights)
        moved[step:] = weights[: weights.size - step]
        weights = (weights + moved) / 2
    return weights


def _normal_p(ranks: Floats, above: float) -> float:
    z = (above - ranks.sum() / 2) / np.sqrt((ranks**2).sum() / 4)
    return float(2 * ndtr(-abs(z)))


def _walsh(d: Floats) -> Floats:
    """Means of all pairs, each with itself too, sorted."""
    first, second = np.triu_indices(d.size)
    return np.sort((d[first] + d[second]) / 2)


def _hodges_lehmann(d: Floats) -> float:
    return float(np.median(_walsh(d))) if d.size else np.nan


def _ends(d: Floats, level: float) -> tuple[float, float]:
    """The pairwise means between which the test keeps the median (Tukey): by the distribution without ties."""
    means, n = _walsh(d), d.size
    if n <= EXACT_UPTO:
        cumulated = np.cumsum(_sum_distribution(np.arange(1.0, n + 1))[::2])
        left = int(np.searchsorted(cumulated, 0.5 - level / 2, side="right"))
    else:
        left = int(n * (n + 1) / 4 - z_of(level) * np.sqrt(n * (n + 1) * (2 * n + 1) / 24))
    left = max(min(left, means.size // 2), 0)
    if left == 0:
        return -np.inf, np.inf
    return float(means[left - 1]), float(means[means.size - left])
