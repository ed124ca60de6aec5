"""Many tests at once: adjusted p-values, and e-values.

Holm bounds the chance of any false rejection; Benjamini-Hochberg the expected false share for independent or positively
dependent tests; Benjamini-Yekutieli and e-BH under any dependence. NaN p-values stay NaN and are not counted.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def holm(p: ArrayLike) -> Floats:
    """Adjusted p-values, step-down (Holm 1979): any dependence, family-wise error ≤ α where they are ≤ α.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    return _adjusted(p, lambda rising: np.maximum.accumulate(rising * np.arange(len(rising), 0, -1)))


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Adjusted p-values, step-up (Benjamini and Hochberg 1995): false discovery rate, independent or PRDS tests.

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    return _adjusted(p, lambda rising: _step_up(rising, 1.0))


def benjamini_yekutieli(p: ArrayLike) -> Floats:
    """Adjusted p-values (Benjamini and Yekutieli 2001): false discovery rate under any dependence, Σ 1/i times BH.

    >>> benjamini_yekutieli([0.01, 0.04, 0.03]).round(3).tolist()
    [0.055, 0.073, 0.073]
    """
    return _adjusted(p, lambda rising: _step_up(rising, float((1 / np.arange(1, len(rising) + 1)).sum())))


def e_bh(log_e: ArrayLike, alpha: float = 0.05) -> Bools:
    """Which to reject: the k* largest, k* = max{k: e_(k) ≥ M / (α k)} (Wang and Ramdas 2022).

    False discovery rate ≤ α under any dependence, and at any stopping time if each is an e-process. Logs of e-values;
    NaN is never rejected but counts in M: a monitor without data is still one that was asked.

    >>> e_bh(np.log([100.0, 30.0, 1.0])).tolist()
    [True, True, False]
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: {alpha} is not inside (0, 1)")
    log_e = np.where(np.isnan(np.asarray(log_e, np.float64)), -np.inf, np.asarray(log_e, np.float64))
    falling = np.sort(log_e)[::-1]
    enough = falling >= np.log(len(falling) / (alpha * np.arange(1, len(falling) + 1)))
    if not enough.any():
        return np.zeros(log_e.shape, np.bool_)
    return np.asarray(log_e >= falling[np.flatnonzero(enough)[-1]])


def _step_up(rising: Floats, penalty: float) -> Floats:
    scaled = rising * penalty * len(rising) / np.arange(1, len(rising) + 1)
    return np.asarray(np.minimum.accumulate(scaled[::-1])[::-1])


def _adjusted(p: ArrayLike, in_order: Callable[[Floats], Floats]) -> Floats:
    p = np.asarray(p, np.float64)
    if ((p < 0) | (p > 1)).any():
        raise ValueError("p: p-values must be in [0, 1]")
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(in_order(p[order]), 1.0)
    return adjusted
