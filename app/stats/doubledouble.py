"""Vectorised double-double arithmetic (Dekker 1971): 106 bits, so that differences of large sums keep their digits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SPLIT = 134217729.0  # 2^27 + 1


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def _halves(a: Floats) -> tuple[Floats, Floats]:
    split = a * _SPLIT
    head = split - (split - a)
    return head, a - head


@dataclass(frozen=True, slots=True)
class DD:
    """high + low, |low| ≤ ½ ulp(high)."""

    high: Floats
    low: Floats

    @classmethod
    def of(cls, integers: NDArray[np.int64]) -> "DD":
        """Without error, for |integer| ≤ 2^62."""
        high = integers.astype(np.float64)
        return cls(high, (integers - high.astype(np.int64)).astype(np.float64))

    def __add__(self, other: "DD") -> "DD":
        high, low = _two_sum(self.high, other.high)
        return DD(*_two_sum(high, low + self.low + other.low))

    def __neg__(self) -> "DD":
        return DD(-self.high, -self.low)

    def __sub__(self, other: "DD") -> "DD":
        return self + -other

    def __mul__(self, other: "DD") -> "DD":
        high = self.high * other.high
        (a, b), (c, d) = _halves(self.high), _halves(other.high)
        error = ((a * c - high) + a * d + b * c) + b * d
        return DD(*_two_sum(high, error + self.high * other.low + self.low * other.high))

    def times(self, power: int) -> "DD":
        """times 2^power, without error."""
        return DD(np.ldexp(self.high, power), np.ldexp(self.low, power))

    def value(self) -> Floats:
        return self.high + self.low
