"""What an entry of a rollup cell means: a code is `family << 24 | index`, and each family numbers its own index.

Families below 16 are *core* (few entries, read by every trend); from 16 on they are *histograms* (read only by metrics
that need scores).
"""

from enum import IntEnum, StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Family(IntEnum):
    """The meaning of `index` for each family of codes."""

    N = 0  # 0: predictions
    LABELLED = 1  # 0: labelled predictions
    SCORED = 2  # 0: labelled predictions that carry a score (classification)
    CONFUSION = 3  # pair(actual, predicted)
    PREDICTED = 4  # predicted class, of all predictions
    SUM = 5  # (slot * 12 + sum id) * 8 + limb, see `fixedpoint`; the slot is 0 but for regression
    DELAY = 6  # delay bin of a label
    NONZERO = 7  # 0: labelled predictions whose actual is not 0 (regression: what MAPE counts)
    SCORE = 16  # score bin, of all predictions (binary: P(positive); multiclass: the top class's probability)
    CLASS_SCORE = 17  # (class * 2 + is_actual) * 1024 + score bin, labelled and scored (binary: slot 0 is P(positive))
    CALIBRATION = 18  # calibration bin * 4 + {0: Σp in 2^-32; multiclass 1: hits, 2: rows of the top class}


FAMILY_SHIFT = 24
INDEX_MASK = np.uint32((1 << FAMILY_SHIFT) - 1)
FIRST_HIST = 16
SCORE_BINS = 1024
CALIBRATION_BINS = 64
DELAY_BINS = 160  # the last one starts at 2^39.5 s, about 25,000 years
CALIBRATION_SLOTS = 4
SUMS = 12  # sum ids, see `counting`
SUM_LIMBS = 8

_WIDE = 896  # equal-width bins before the outer two are split
_TAIL = 64  # inner edges of each outer bin, half an octave apart
# Below 1/896 the edges fall by √2 down to 2.6e-13, so rare events keep their order; 1 − p mirrors it.
_TAIL_EDGES = 2.0 ** (-np.arange(_TAIL, 0, -1) / 2) / _WIDE
SCORE_EDGES: NDArray[np.float64] = np.concatenate(
    [[0.0], _TAIL_EDGES, np.arange(1, _WIDE) / _WIDE, 1 - _TAIL_EDGES[::-1], [1.0]]
)
CALIBRATION_OF_SCORE: NDArray[np.int64] = np.clip(np.arange(SCORE_BINS) - _TAIL, 0, _WIDE - 1) // (
    _WIDE // CALIBRATION_BINS
)
DELAY_EDGES_S: NDArray[np.float64] = np.concatenate([[0.0], 2.0 ** (np.arange(DELAY_BINS - 1) / 4), [np.inf]])
# whole microseconds, so that no machine's rounding of a power matters
_DELAY_STEPS_US: NDArray[np.int64] = np.ceil(DELAY_EDGES_S[1:-1] * 1e6).astype(np.int64)


def code(family: Family, index: int = 0) -> int:
    """
    >>> code(Family.CONFUSION, 2)
    50331650
    """
    return family << FAMILY_SHIFT | index


def is_hist(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which codes belong to the histogram families.

    >>> is_hist(np.array([code(Family.N), code(Family.SCORE, 5)], np.uint32)).tolist()
    [False, True]
    """
    return codes >= np.uint32(FIRST_HIST << FAMILY_SHIFT)


def pair(actual: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for (actual, predicted) that stays valid when classes are added.

    Rosenberg and Strong's pairing numbers the square in shells, m² + m + actual − predicted with
    m = max(actual, predicted), so k classes fill exactly 0 … k²−1.

    >>> pair(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])).tolist()
    [0, 1, 3, 2]
    """
    shell = np.maximum(actual, predicted)
    return shell * shell + shell + actual - predicted


@lru_cache(maxsize=64)
def pair_order(classes: int) -> NDArray[np.int64]:
    """Where shell number i stands in the row-major k × k matrix: `matrix.flat[pair_order(k)[i]]`."""
    actual, predicted = np.divmod(np.arange(classes * classes, dtype=np.int64), classes)
    order = np.empty(classes * classes, np.int64)
    order[pair(actual, predicted)] = np.arange(classes * classes)
    order.flags.writeable = False
    return order


def score_bin(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bin 0 … 1023 of scores in [0, 1] (no NaN); monotone in the score.

    896 equal-width bins, whose first and last are each split into 65 geometric ones.

    >>> score_bin(np.array([0.0, 1e-9, 0.002, 0.5, 1 - 1e-9, 1.0])).tolist()
    [0, 24, 65, 512, 999, 1023]
    """
    wide = (score * _WIDE).astype(np.int64)
    np.minimum(wide, _WIDE - 1, out=wide)
    bins = wide + _TAIL
    low, high = np.flatnonzero(wide == 0), np.flatnonzero(wide == _WIDE - 1)
    if low.size:
        bins[low] = np.searchsorted(_TAIL_EDGES, score[low], side="right")
    if high.size:
        bins[high] = SCORE_BINS - 1 - np.searchsorted(_TAIL_EDGES, 1.0 - score[high], side="right")
    return bins


def delay_bin(delay_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Four bins an octave from 1 s; bin 0 is everything below 1 s, and what came before its prediction.

    >>> delay_bin(np.array([-5, 999_999, 1_000_000, 2_000_000, 3_600_000_000])).tolist()
    [0, 0, 1, 5, 48]
    """
    return np.searchsorted(_DELAY_STEPS_US, delay_us, side="right").astype(np.int64, copy=False)
