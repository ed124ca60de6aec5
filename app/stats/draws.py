"""Uniform draws that anyone can draw again: a hash of (key, bucket, stream), no state.

Smoothed p-values need a uniform V that is independent of the data. Keyed by monitor and bucket it is the same in every
recomputation, in whatever order buckets are read, so an alarm can be checked from the rollups alone.
"""

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MASK = (1 << 64) - 1
# SplitMix64 (Steele, Lea and Flood 2014): the step and the two multipliers of its finaliser (Stafford's variant 13).
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def key_of(name: str) -> int:
    """A 64-bit key from a public name.

    >>> key_of("monitor-1") == key_of("monitor-1"), key_of("monitor-1") == key_of("monitor-2")
    (True, False)
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def uniform(key: int, bucket: int, stream: int = 0) -> float:
    """One draw in (0, 1), a multiple of 2⁻⁵³; integers are taken modulo 2⁶⁴.

    >>> uniform(7, 1_700_000_000_000_000) == uniform(7, 1_700_000_000_000_000)
    True
    >>> round(uniform(7, 0), 6), round(uniform(7, 1), 6), round(uniform(7, 0, stream=1), 6)
    (0.280285, 0.915997, 0.946196)
    """
    state = 0
    for word in (key, bucket, stream):
        state = _mix((state ^ _mix((word + _STEP) & _MASK)) + _STEP & _MASK)
    return float((state >> 12) + 0.5) * 2.0**-52


def _mix(z: int) -> int:
    z = (z ^ z >> 30) * _FIRST & _MASK
    z = (z ^ z >> 27) * _SECOND & _MASK
    return z ^ z >> 31


def uniforms(key: ArrayLike, bucket: ArrayLike, stream: int = 0) -> NDArray[np.float64]:
    """`uniform` over integer arrays that broadcast; the same bits.

    >>> bool(uniforms([7], [0, 1])[1] == uniform(7, 1))
    True
    """
    words = [np.atleast_1d(np.asarray(word)).astype(np.uint64) for word in (key, bucket, stream)]
    state: NDArray[np.uint64] = np.zeros(1, np.uint64)
    for word in words:
        state = _mixes((state ^ _mixes(word + np.uint64(_STEP))) + np.uint64(_STEP))
    draws = ((state >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return draws.reshape(np.broadcast_shapes(*(np.shape(word) for word in (key, bucket))))


def _mixes(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ z >> np.uint64(30)) * np.uint64(_FIRST)
    z = (z ^ z >> np.uint64(27)) * np.uint64(_SECOND)
    return np.asarray(z ^ z >> np.uint64(31))
