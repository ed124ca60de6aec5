"""Accuracy without labels by one threshold on confidence (ATC, Garg et al. 2022): a second opinion beside CBPE."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.cbpe import FEWEST_LABELS, UNCHANGED
from app.stats.codes import SCORE_BINS
from app.stats.intervals import Interval, wilson
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]

_NEAR = 0.02  # share of the reference's rows about the threshold, for the densities' ratio


def atc(hits: ArrayLike, rows: ArrayLike, counts: ArrayLike, *, binary: bool = True, level: float = 0.95) -> Interval:
    """Labelled rows by score bin and *right* ones among them, current scores by bin (each [1024]).

    The threshold is where the reference has as many rows below as it has errors; the estimate is the share of current
    rows above. `binary`: the score is P(positive), confidence its distance from ½; else the top class's probability.
    Its error: that of the error rate, of the threshold, of the current rows.

    >>> rows = np.bincount([600, 700, 800, 900], [100, 100, 100, 100], SCORE_BINS)
    >>> right = np.bincount([600, 700, 800, 900], [25, 75, 100, 100], SCORE_BINS)
    >>> round(atc(right, rows, rows, binary=False).value, 3)
    0.75
    """
    right, total, current = (_by_confidence(part, binary) for part in (hits, rows, counts))
    n, m = float(total.sum()), float(current.sum())
    method = "atc"
    if n < FEWEST_LABELS or m == 0:
        reason = f"fewer than {FEWEST_LABELS} labels, or no scores"
        return withheld(np.nan, int(m), method, reason, level=level)
    error = 1 - float(right.sum()) / n
    below, place = np.concatenate(([0.0], np.cumsum(total))) / n, np.arange(total.size + 1)
    at = float(np.interp(error, below, place))
    passed = np.concatenate(([0.0], np.cumsum(current))) / m
    value = 1 - float(np.interp(at, place, passed))
    near = np.interp(np.clip([error - _NEAR, error + _NEAR], 0.0, 1.0), below, place)
    ratio = float(np.diff(np.interp(near, place, passed))[0]) / float(np.diff(np.interp(near, place, below))[0])
    # the reference's error rate and its share below the threshold are both proportions of the same n rows
    variance = ratio**2 * 2 * error * (1 - error) / n + value * (1 - value) / m
    size = value * (1 - value) / variance if variance > 0 else m
    low, high = wilson(value * size, size, level)
    assumption = UNCHANGED.replace("P(outcome | score)", "the confidence that separates right from wrong")
    return interval(value, float(low), float(high), method, int(m), assumption, level=level, n_eff=size)


def differs(one: Interval, other: Interval) -> bool:
    """Whether two label-free estimates contradict each other: a sign that an assumption of one is broken.

    >>> differs(interval(0.8, 0.78, 0.82, "cbpe", 1, ""), interval(0.9, 0.88, 0.92, "atc", 1, ""))
    True
    """
    return one.high < other.low or other.high < one.low


def _by_confidence(counts: ArrayLike, binary: bool) -> Floats:
    """By rising confidence: the bins of P and 1 − P mirror each other."""
    values = np.asarray(counts, np.float64)
    if values.shape != (SCORE_BINS,):
        raise ValueError(f"hits, rows, counts: {SCORE_BINS} bins, not {values.shape}")
    if not binary:
        return values
    half = SCORE_BINS // 2
    return values[half:] + values[:half][::-1]
