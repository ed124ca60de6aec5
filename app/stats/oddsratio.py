"""The odds ratio of two arms, given how many events they had together: Fisher's non-central hypergeometric law.

Arm a has x_a events in n_a rows, arm b x_b in n_b. Given s = x_a + x_b, x_b has masses ∝ C(n_b, k) C(n_a, s − k) ωᵏ:
the base rate has gone, however it moves, as long as the arms share it; with randomised routing this is a randomisation
test, and rows need not be independent.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Beyond these the masses are below 10⁻³⁰ of the largest (as in conformal.REACH).
REACH, AND_MORE = 12.0, 24


def log_likelihoods(x_a: ArrayLike, n_a: ArrayLike, x_b: ArrayLike, n_b: ArrayLike, log_ratios: ArrayLike) -> Floats:
    """log P(x_b | s, ω) up to a term without ω: [...] and [G] → [..., G]. Zero where n_a, n_b or s is 0.

    >>> found = log_likelihoods(21, 450, 9, 50, np.log([1.0, 2.0]))
    >>> round(float(found[1] - found[0]), 6)
    3.442392
    """
    shape = np.broadcast_shapes(*(np.shape(a) for a in (x_a, n_a, x_b, n_b)))
    xa, na, xb, nb = (np.broadcast_to(np.asarray(a, np.int64), shape).ravel() for a in (x_a, n_a, x_b, n_b))
    if ((xa < 0) | (xa > na) | (xb < 0) | (xb > nb)).any():
        raise ValueError("x_a, x_b: an arm has more events than rows")
    theta = np.asarray(log_ratios, np.float64)
    found = xb[:, np.newaxis] * theta - log_normaliser(na, nb, xa + xb, theta)
    return np.asarray(found.reshape((*shape, len(theta))))


def log_normaliser(n_a: Ints, n_b: Ints, s: Ints, theta: Floats) -> Floats:
    """log Σ_k C(n_b, k) C(n_a, s − k) e^{kθ}, up to a term without θ: [P], [G] → [P, G].

    >>> one = np.array([1])
    >>> log_normaliser(one, one, one, np.log([1.0, 3.0])).round(6).tolist()  # C(1, 0) + C(1, 1) ω
    [[0.693147, 1.386294]]
    """
    lo, hi = np.maximum(0, s - n_a), np.minimum(n_b, s)
    coefficients = _coefficients(n_a, n_b, s, lo, hi)
    first, width = _window(n_a, n_b, s, lo, hi, theta)
    k = np.minimum(first[..., np.newaxis] + np.arange(width), hi[:, np.newaxis, np.newaxis] + 1)
    place = (k - lo[:, np.newaxis, np.newaxis]).reshape(len(s), -1)
    logs = np.take_along_axis(coefficients, place, axis=1).reshape(k.shape) + k * theta[:, np.newaxis]
    top = logs.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(logs - top).sum(axis=-1)) + top[..., 0])


def _coefficients(n_a: Ints, n_b: Ints, s: Ints, lo: Ints, hi: Ints) -> Floats:
    """log of the masses at θ = 0 relative to the first, k = lo …, [P, support + 1]; −∞ beyond hi.

    By ratios of neighbours: log-gamma functions of millions would lose nine digits.
    """
    k = (lo[:, np.newaxis] + np.arange(int((hi - lo).max(initial=0)) + 1)).astype(np.float64)
    na, nb, total = (a.astype(np.float64)[:, np.newaxis] for a in (n_a, n_b, s))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (nb - k) * (total - k) / ((k + 1) * (na - total + k + 1))
        steps = np.log(np.where(k < hi[:, np.newaxis], ratio, 0.0))
    return np.concatenate((np.zeros((len(s), 1)), steps.cumsum(axis=1)), axis=1)


def _window(n_a: Ints, n_b: Ints, s: Ints, lo: Ints, hi: Ints, theta: Floats) -> tuple[Ints, int]:
    """Where the sum must begin, [P, G], and how many terms it needs: about the mode, the root of a quadratic."""
    na, nb, total = (a.astype(np.float64)[:, np.newaxis] for a in (n_a, n_b, s))
    omega = np.exp(theta)
    b, c = (nb + total + 2) * omega + na - total, (nb + 1) * (total + 1) * omega
    mode = np.clip(2 * c / (b + np.sqrt(np.maximum(b * b - 4 * (omega - 1) * c, 0.0))), 0, np.minimum(nb, total))
    spread = 1 / np.sqrt(1 / (mode + 1) + 1 / (nb - mode + 1) + 1 / (total - mode + 1) + 1 / (na - total + mode + 1))
    first = np.maximum(np.floor(mode - REACH * spread - AND_MORE), lo[:, np.newaxis]).astype(np.int64)
    last = np.minimum(np.ceil(mode + REACH * spread + AND_MORE), hi[:, np.newaxis]).astype(np.int64)
    return np.minimum(first, hi[:, np.newaxis]), int((last - first).max(initial=0)) + 1
