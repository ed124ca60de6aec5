"""Fixed point: every row is rounded to an integer first, integers alone are summed.

An integer too long for one word is split into signed limbs of 32 bits (all with the sign of the value), each summed on
its own: value = Σ limb_i · 2^(32 i). Sums of limbs are exact in float64 up to 2²¹ rows and in int64 up to 2³¹ rows.

Only IEEE basic operations are used (no SIMD logarithm), so two machines round alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOSS_BITS = 50  # losses and their squares: one unit is 2^-50
CALIBRATION_BITS = 32  # Σp: one limb
RATIO_BITS = 40  # |e/y|; its square has twice as many
RESOLUTION = 40  # a unit of the target is 2^-40 of its spread (9e-13)
RANGE = 30  # and 2^30 spreads about the centre fit
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


@dataclass(frozen=True, slots=True)
class Scale:
    """Regression fixed point: y is held as round((y − center) · 2^exponent)."""

    center: float
    exponent: int

    @classmethod
    def fit(cls, values: NDArray[np.float64]) -> "Scale":
        """Centre on the median; a unit is 2^-40 of the spread, the range 2^30 spreads.

        The spread is the distance from the 10th to the 90th percentile; where that is 0, the mean distance from the
        centre; where all values are equal, their size, or 1. An outlier may widen it: all values given keep 2^6 of
        room. No value at all: 1 about 0.

        >>> Scale.fit(np.array([9.0, 10.0, 11.0]))
        Scale(center=10.0, exponent=39)
        >>> Scale.fit(np.array([5.0, 5.0])).center
        5.0
        """
        values = values[np.isfinite(values)]
        if values.size == 0:
            return cls(0.0, RESOLUTION)
        low, center, high = (float(q) for q in np.quantile(values, (0.1, 0.5, 0.9), method="closest_observation"))
        with np.errstate(over="ignore"):
            distance = np.abs(values - center)
            spread = (high - low) or float(distance.mean()) or abs(center) or 1.0
            spread = min(max(spread, float(distance.max()) * 2.0 ** (6 - RANGE)), 2.0**1020)
        return cls(center, RESOLUTION + 1 - int(np.frexp(spread)[1]))


def to_units(scale: Scale, values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.ldexp(values - scale.center, scale.exponent)


def outside(scale: Scale, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values the fixed point can't hold (NaN and infinities among them).

    >>> outside(Scale(0.0, 40), np.array([1.0, -1e9, 1.2e9, np.nan])).tolist()
    [False, False, True, True]
    """
    return ~(np.abs(to_units(scale, values)) <= 2.0 ** (RESOLUTION + RANGE))


def limbs(values: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Integer-valued float64 below 2^256 → (limb number, limbs), from the top down, without limbs no row has."""
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
    """The square of integer-valued float64 as an unevaluated sum of two floats, without error (Dekker 1971)."""
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
