"""Fixed point: every row is rounded to an integer first, integers alone are summed.

An integer too long for one word is split into signed limbs of 32 bits (all with the sign of the value), each summed on
its own: value = Σ limb_i · 2^(32 i). Sums of limbs are exact in float64 up to 2²¹ rows and in int64 up to 2³¹ rows.

Only IEEE basic operations are used (no SIMD logarithm), so two machines round alike.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

LOSS_BITS = 50  # losses and their squares: one unit is 2^-50
CALIBRATION_BITS = 32  # Σp: one limb
RATIO_BITS = 40  # |e/y|; its square has twice as many
UNIT = 70  # the finest unit of a regression's numbers is 2^-70 (8e-22)
HELD = 70  # numbers below 2^70 units fit, with their fourth powers
STEP = 17  # each coarser unit is 2^17 of the one before, so the largest number of each leaves 53 bits to the smallest
LARGEST = 1e30  # absolute value of a regression's number; its fourth power still has room in a float64
FOURTH_BITS = 32  # moments of order four drop so many low bits, to fit in eight limbs

_SQRT_HALF = 0.5**0.5
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)


def slots(actual: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which unit each row of a regression is counted in: the finest that holds both numbers.

    All units are 53 bits or more below what they are chosen for, so nothing is rounded but what lies below 2^-70.

    >>> slots(np.array([0.5, 12.5, 1e12]), np.zeros(3)).tolist()
    [0, 1, 3]
    """
    reach = np.frexp(np.maximum(np.abs(actual), np.abs(predicted)))[1].astype(np.int64)
    return np.maximum(-(-(reach + UNIT - HELD) // STEP), 0)


def outside(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values of a regression can't be counted (NaN and infinities among them).

    >>> outside(np.array([1.0, -1e30, 1e31, np.nan])).tolist()
    [False, False, True, True]
    """
    return ~(np.abs(values) <= LARGEST)


def limbs(values: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Integer-valued float64 below 2^256 → (limb number, limbs), from the top down, without limbs no row has.

    >>> [(limb, part.tolist()) for limb, part in limbs(np.array([2.0**32 + 5, 7.0]))]
    [(1, [1.0, 0.0]), (0, [5.0, 7.0])]
    """
    rest = values.copy()
    for limb in range(7, 0, -1):
        unit = 2.0 ** (32 * limb)
        if np.abs(rest).max(initial=0.0) < unit:
            continue
        part = np.trunc(rest * (1.0 / unit))
        rest -= part * unit
        yield limb, part
    yield 0, rest


def exact_square(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The square of integer-valued float64 as an unevaluated sum of two floats, without error (Dekker 1971).

    >>> high, low = exact_square(np.array([2.0**53 - 1]))
    >>> int(high[0]) + int(low[0]) == (2**53 - 1) ** 2
    True
    """
    high = values * values
    split = values * 134217729.0
    head = split - (split - values)
    tail = values - head
    return high, ((head * head - high) + 2.0 * head * tail) + tail * tail


def log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm of positive numbers, below 1 ulp, the same bits on every machine (fdlibm's e_log, Sun 1993).

    >>> float(log(np.array([0.25]))[0])
    -1.3862943611198906
    """
    mantissa, exponent = np.frexp(x)
    small = mantissa < _SQRT_HALF
    f = mantissa * (1.0 + small) - 1.0
    k = exponent - small
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * (_LOG[1] + w * (_LOG[3] + w * _LOG[5]))
    even = z * (_LOG[0] + w * (_LOG[2] + w * (_LOG[4] + w * _LOG[6])))
    half = 0.5 * f * f
    result: NDArray[np.float64] = k * _LN2_HIGH - ((half - (s * (half + odd + even) + k * _LN2_LOW)) - f)
    return result
