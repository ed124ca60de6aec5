"""k models on many data sets: Friedman's ranks, who differs from whom, and who from a control (Demšar 2006)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, fdtrc, ndtr

from app.stats.intervals import Validity
from app.stats.multiplicity import holm
from app.stats.signedranks import midranks

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(256)
_REACH = 9.0  # a normal's mass beyond is 2e-19


@dataclass(frozen=True, slots=True)
class Ranking:
    """Mean ranks (1 is best), Friedman's χ² and Iman and Davenport's F with their p.

    `critical_difference`: two models whose mean ranks differ by more differ at `level` (Nemenyi). NaN p: too few.
    """

    ranks: Floats
    chi2: float
    chi2_p: float
    f: float
    f_p: float
    critical_difference: float
    level: float
    n: int
    method: str = "friedman, iman-davenport, nemenyi"
    assumption: str = "data sets are independent; the scores of different data sets need not be comparable"
    validity: Validity = "fixed-n"


def friedman(scores: ArrayLike, *, higher_is_better: bool = True, level: float = 0.95) -> Ranking:
    """`scores` [data sets, models]; ties share ranks and are corrected for. Every data set tied throughout: p = 1.

    >>> x = [[0.81, 0.83, 0.8], [0.75, 0.78, 0.77], [0.9, 0.91, 0.88]]
    >>> x += [[0.66, 0.7, 0.69], [0.72, 0.71, 0.7], [0.84, 0.88, 0.85]]
    >>> found = friedman(x)
    >>> round(found.chi2, 6), round(found.chi2_p, 6), found.ranks.round(2).tolist(), round(found.critical_difference, 4)
    (6.333333, 0.042144, [2.33, 1.17, 2.5], 1.3531)
    """
    x = np.asarray(scores, np.float64)
    if x.ndim != 2 or x.shape[1] < 3:
        raise ValueError(f"scores: [data sets, at least 3 models], not {x.shape}; two models have wilcoxon")
    n, k = x.shape
    ranked = np.stack([midranks(row) for row in (-x if higher_is_better else x)]) if n else np.empty((0, k))
    if n < 2:
        nothing = np.nan
        return Ranking(ranked.mean(axis=0) if n else np.full(k, np.nan), *(nothing,) * 5, level, n)
    mean = ranked.mean(axis=0)
    spread = ((ranked - (k + 1) / 2) ** 2).sum() / (n * (k - 1))  # k (k + 1) / 12 without ties
    chi2 = float(n * ((mean - (k + 1) / 2) ** 2).sum() / spread) if spread > 0 else 0.0
    ceiling = n * (k - 1)
    f = (n - 1) * chi2 / (ceiling - chi2) if chi2 < ceiling * (1 - 1e-12) else np.inf
    return Ranking(
        ranks=mean,
        chi2=chi2,
        chi2_p=float(chdtrc(k - 1, chi2)),
        f=float(f),
        f_p=float(fdtrc(k - 1, (k - 1) * (n - 1), f)),
        critical_difference=critical_difference(k, n, level),
        level=level,
        n=n,
    )


def critical_difference(k: int, n: int, level: float = 0.95) -> float:
    """Nemenyi's: q √(k (k + 1) / (6 n)), q the studentized range's quantile over √2.

    >>> round(critical_difference(3, 6), 8)
    1.35313616
    """
    return float(range_quantile(k, level) * np.sqrt(k * (k + 1) / (12 * n)))


def against_control(ranking: Ranking, control: int) -> Floats:
    """Two-sided p of each model's mean rank against the control's, adjusted by Holm; NaN at the control.

    >>> x = np.arange(30.0).reshape(10, 3)
    >>> against_control(friedman(x), 0).round(4).tolist()
    [nan, 0.0253, 0.0]
    """
    k = ranking.ranks.size
    if not 0 <= control < k:
        raise ValueError(f"control: one of {k} models, not {control}")
    z = (ranking.ranks - ranking.ranks[control]) / np.sqrt(k * (k + 1) / (6 * ranking.n))
    p = 2 * ndtr(-np.abs(z))
    p[control] = np.nan
    return holm(p)


def range_quantile(k: int, level: float) -> float:
    """Quantile of the range of k standard normals, by bisection.

    P(range ≤ q) = k ∫ φ(z) (Φ(z) − Φ(z − q))^(k−1) dz, Gauss-Legendre on 256 nodes.

    >>> round(range_quantile(3, 0.95), 6)
    3.314493
    """
    z = _NODES * _REACH
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * _WEIGHTS * _REACH
    low, high = 0.0, 2 * _REACH
    for _ in range(60):
        middle = (low + high) / 2
        reached = k * float((density * (ndtr(z) - ndtr(z - middle)) ** (k - 1)).sum())
        low, high = (middle, high) if reached < level else (low, middle)
    return high
