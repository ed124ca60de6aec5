"""Many features at once: maximum mean discrepancy on random Fourier features, with a permutation null."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.tested import Tested, interval, withheld

Floats = NDArray[np.float64]

FEATURES = 500
PERMUTATIONS = 999
MOST_ROWS = 5_000  # of each sample; more are thinned at random
_PAIRS = 1_000  # for the median distance
NULL = "both samples come from one distribution"


def mmd(
    reference: ArrayLike,
    current: ArrayLike,
    random: np.random.Generator,
    *,
    features: int = FEATURES,
    permutations: int = PERMUTATIONS,
) -> Tested:
    """Samples [n, d] and [m, d], columns put on the scale of both together; kernel exp(−|x − y|² / 2h²), h the median
    distance (Gretton et al. 2012), on random features (Rahimi and Recht 2007).

    Statistic: squared distance of the mean features. p is exact for any size: permutations with the one seen counted.
    Effect: √(statistic less its mean under permutation), without interval. Fewer than 2 rows of either: no test.

    >>> random = np.random.default_rng(0)
    >>> a, b = random.normal(size=(200, 3)), random.normal(size=(200, 3)) + [0.6, 0, 0]
    >>> mmd(a, b, random, permutations=199).p
    0.005
    """
    x, y = (np.asarray(sample, np.float64) for sample in (reference, current))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"reference, current: [n, d] and [m, d], not {x.shape} and {y.shape}")
    x, y = _thinned(x, random), _thinned(y, random)
    n, m, method = len(x), len(y), "mmd, random Fourier features, permutation"
    if min(n, m) < 2:
        return Tested(withheld(np.nan, m, method, "needs two rows of either sample"), np.nan, np.nan, NULL)
    mapped = _mapped(_scaled(x, y), features, random)
    seen = float(_distances(mapped, _labels(n, m, 1, random, shuffled=False))[0])
    null = np.concatenate(
        [
            _distances(mapped, _labels(n, m, min(100, permutations - start), random, shuffled=True))
            for start in range(0, permutations, 100)
        ]
    )
    p = (1 + int((null >= seen * (1 - 1e-12)).sum())) / (permutations + 1)
    value = np.sqrt(max(seen - float(null.mean()), 0.0))
    reason = "rows are exchangeable under the null; the scale is the kernel's, 0 none to 1 apart"
    return Tested(interval(value, np.nan, np.nan, method, m, reason), seen, p, NULL)


def _thinned(sample: Floats, random: np.random.Generator) -> Floats:
    if len(sample) <= MOST_ROWS:
        return sample
    return sample[random.choice(len(sample), MOST_ROWS, replace=False)]


def _scaled(x: Floats, y: Floats) -> Floats:
    """By the pooled mean and deviation: the reference's own would tell the samples apart under the null too."""
    both = np.concatenate((x, y))
    known = np.isfinite(both)
    n = np.maximum(known.sum(axis=0), 1)
    away = np.where(known, both - np.where(known, both, 0.0).sum(axis=0) / n, 0.0)  # a missing value stands at the mean
    sd = np.sqrt((away**2).sum(axis=0) / n)
    return np.asarray(away / np.where(sd > 0, sd, 1.0))


def _mapped(rows: Floats, features: int, random: np.random.Generator) -> Floats:
    """[n + m, features] cosines and sines of random directions."""
    first, second = random.integers(0, len(rows), (2, _PAIRS))
    apart = np.sqrt(((rows[first] - rows[second]) ** 2).sum(axis=1))
    width = float(np.median(apart[first != second])) or 1.0
    angles = rows @ random.normal(scale=1 / width, size=(rows.shape[1], features // 2))
    return np.asarray(np.concatenate((np.cos(angles), np.sin(angles)), axis=1) / np.sqrt(features // 2))


def _labels(n: int, m: int, count: int, random: np.random.Generator, *, shuffled: bool) -> Floats:
    """[count, n + m] weights of the difference of the two means."""
    weights: Floats = np.tile(np.concatenate((np.full(n, 1 / n), np.full(m, -1 / m))), (count, 1))
    return np.asarray(random.permuted(weights, axis=1)) if shuffled else weights


def _distances(mapped: Floats, weights: Floats) -> Floats:
    return np.asarray(((weights @ mapped) ** 2).sum(axis=1))
