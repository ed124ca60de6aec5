"""Shiryaev-Roberts e-detectors: evidence that something has changed, since whenever it may have begun.

Increments L_t ≥ 0 with E[L_t | past] ≤ 1 while nothing is wrong, in logs, on a grid of G alternatives in the last axis
of every array. Shin, Ramdas and Rinaldo, "E-detectors", NEJSDS 2024 (arXiv 2203.03532).

    M_j ← (M_j + 1) · L_j                     with resets: E[alarms in K looks] ≤ K/A, P(any in K looks) ≤ K/A,
    alarm when mean_j M_j ≥ A; then M = 0      mean time between false alarms ≥ A looks
    M_j ← (M_j + w_t) · L_j                    Σ w ≤ 1: P(any, for ever) ≤ α
    alarm when mean_j M_j + 1 − Σ_{s≤t} w_s ≥ 1/α
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Σ_{k≥1} 1 / ((k + 1) ln²(k + 1)), so that the weights of starts sum to 1.
WEIGHT_TOTAL = 2.1097428012368917


def advance(log_m: Floats, log_increments: Floats, log_start: float = 0.0) -> Floats:
    """The next log M, [..., G]; at the beginning log M is −∞.

    >>> advance(np.array([-np.inf]), np.array([0.5])).tolist()
    [0.5]
    """
    return np.asarray(np.logaddexp(log_m, log_start) + log_increments)


def log_value(log_m: Floats) -> Floats:
    """log of the mean over the grid: [..., G] → [...].

    >>> log_value(np.log([[1.0, 3.0]])).round(6).tolist()
    [0.693147]
    """
    return np.asarray(np.logaddexp.reduce(log_m, axis=-1) - math.log(log_m.shape[-1]))


def start_weight(k: ArrayLike) -> Floats:
    """w_k = 1 / (C (k + 1) ln²(k + 1)), k = 1, 2, …: the mass that the weighted form gives a change at look k.

    >>> start_weight([1, 2, 3]).round(6).tolist()
    [0.493276, 0.130906, 0.061659]
    """
    k = np.asarray(k, np.float64)
    return np.asarray(1.0 / (WEIGHT_TOTAL * (k + 1) * np.log(k + 1) ** 2))


def weighted_value(log_m: Floats, spent: float) -> Floats:
    """log(mean_j M_j + 1 − spent): the e-process of the weighted form; `spent` = Σ w so far.

    >>> float(weighted_value(np.array([[-np.inf]]), 0.0)[0])
    0.0
    """
    rest = math.log1p(-spent) if spent < 1 else -math.inf
    return np.asarray(np.logaddexp(log_value(log_m), rest))


def trail(log_increments: Floats) -> Floats:
    """log M at every look of one stream without resets: [T, G] → [T].

    >>> trail(np.log([[2.0], [0.5], [1.0]])).round(6).tolist()  # M = 2, 1.5, 2.5
    [0.693147, 0.405465, 0.916291]
    """
    log_m = np.full(log_increments.shape[-1], -np.inf)
    values = np.empty(len(log_increments))
    for t, increments in enumerate(log_increments):
        log_m = advance(log_m, increments)
        values[t] = log_value(log_m)
    return values


def first_alarms(log_increments: Floats, log_threshold: float) -> NDArray[np.int64]:
    """For R streams at once, [T, R, G]: the look (from 0) of each stream's first alarm, −1 for none.

    >>> first_alarms(np.log([[[2.0], [9.0]], [[2.0], [0.1]]]), np.log(5)).tolist()
    [1, 0]
    """
    looks, streams, grid = log_increments.shape
    log_m, found = np.full((streams, grid), -np.inf), np.full(streams, -1)
    for t in range(looks):
        log_m = advance(log_m, log_increments[t])
        found[(found < 0) & (log_value(log_m) >= log_threshold)] = t
    return found


def count_alarms(log_increments: Floats, log_threshold: float) -> NDArray[np.int64]:
    """For R streams at once, [T, R, G]: how many alarms each has, starting anew after every one.

    >>> count_alarms(np.log([[[6.0]], [[6.0]], [[0.1]]]), np.log(5)).tolist()
    [2]
    """
    looks, streams, grid = log_increments.shape
    log_m, alarms = np.full((streams, grid), -np.inf), np.zeros(streams, np.int64)
    for t in range(looks):
        log_m = advance(log_m, log_increments[t])
        hit = log_value(log_m) >= log_threshold
        alarms += hit
        log_m[hit] = -np.inf
    return alarms


def first_alarms_for_ever(log_increments: Floats, alpha: float) -> NDArray[np.int64]:
    """As `first_alarms`, by the weighted form: P(any alarm, however long it runs) ≤ `alpha`.

    >>> first_alarms_for_ever(np.log([[[2.0], [90.0]], [[2.0], [0.1]]]), 0.05).tolist()
    [-1, 0]
    """
    looks, streams, grid = log_increments.shape
    log_m, found, spent = np.full((streams, grid), -np.inf), np.full(streams, -1), 0.0
    for t in range(looks):
        weight = float(start_weight(t + 1))
        spent += weight
        log_m = advance(log_m, log_increments[t], math.log(weight))
        found[(found < 0) & (weighted_value(log_m, spent) >= -math.log(alpha))] = t
    return found
