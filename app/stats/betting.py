"""Bounded means at any time, by betting: capital that can't grow if the mean is m, whatever the distribution.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSSB 2024 (arXiv 2010.09686).
Assumed: values in [0, 1] whose mean, given the past, is one and the same; no independence, no common distribution.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.bets import STAKES
from app.stats.intervals import Ends

Floats = NDArray[np.float64]

# Half of the largest bet that can't lose everything: one surprising value must not end the game.
LARGEST_BET = 0.5
AT_ONCE = 512  # values; on a grid of a thousand means that is 8 MB


def predicted_bets(x: ArrayLike, alpha: float = 0.05) -> Floats:
    """λ_t = √(2 log(1/α) / (t log(1 + t) σ²_{t−1})), from the values before t; [T] → [T].

    Mean and variance start from one made-up observation of ½ with variance ¼.

    >>> predicted_bets([1.0, 1.0, 1.0]).round(4).tolist()
    [5.8801, 4.1775, 3.5639]
    """
    x = _unit(x)
    t = np.arange(1, len(x) + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    before = np.concatenate(([0.25], variance))[: len(x)]
    return np.asarray(np.sqrt(-2 * np.log(alpha) / (t * np.log(1 + t) * before)))


def log_capital(x: ArrayLike, m: float, alpha: float = 0.05) -> Floats:
    """log max(½K⁺, ½K⁻) after every value: the hedged bets on a mean above and below `m`; [T] → [T].

    Each side bets for its own α/2. P(it ever reaches log 1/δ) ≤ δ if the mean is m. −∞ where both bets are lost,
    which only m = 0 or 1 allow.

    >>> log_capital([1.0, 1.0, 1.0, 1.0], 0.5).round(3).tolist()
    [-0.288, 0.118, 0.523, 0.929]
    """
    x = _unit(x)
    parts = [part[:, 0] for part in _capitals(x, predicted_bets(x, alpha / 2), np.array([m]))]
    return np.concatenate(parts) if parts else np.empty(0)


def _capitals(x: Floats, bets: Floats, m: Floats) -> Iterator[Floats]:
    """[T], [T], [M] → [T, M], some rows at a time."""
    with np.errstate(divide="ignore", invalid="ignore"):
        most_up, most_down = LARGEST_BET / m, LARGEST_BET / (1 - m)
    so_far = np.zeros((2, m.size))
    for start in range(0, x.size, AT_ONCE):
        part, bet = x[start : start + AT_ONCE, np.newaxis] - m, bets[start : start + AT_ONCE, np.newaxis]
        with np.errstate(divide="ignore", invalid="ignore"):
            gains = np.stack((np.log1p(np.minimum(bet, most_up) * part), np.log1p(-np.minimum(bet, most_down) * part)))
        gains[:, 0] += so_far
        upto = np.cumsum(gains, axis=1)
        so_far = upto[:, -1]
        yield np.asarray(upto.max(axis=0) - np.log(2))


def betting(x: ArrayLike, level: float = 0.95, *, breaks: int = 1000, running: bool = True) -> Ends:
    """Confidence sequence of the mean after every value: the m on a grid of `breaks` whose capital stays below 1/α.

    One grid step wider at both ends, so that the grid misses nothing. `running`: the intersection of all so far, which
    is as valid. P(the mean is ever outside) ≤ 1 − level. Empty → no ends. Cost T · breaks.

    >>> low, high = betting((np.arange(500) % 20 != 7) * 1.0)
    >>> [round(float(end), 3) for end in (low[99], high[99], low[-1], high[-1])]
    [0.864, 0.998, 0.915, 0.976]
    """
    x = _unit(x)
    alpha, step = 1 - level, 1 / breaks
    grid = np.linspace(0.0, 1.0, breaks + 1)
    ends = [_ends(part <= -np.log(alpha), grid, step) for part in _capitals(x, predicted_bets(x, alpha / 2), grid)]
    low, high = (np.concatenate([end[i] for end in ends]) if ends else np.empty(0) for i in (0, 1))
    return (np.maximum.accumulate(low), np.minimum.accumulate(high)) if running else (low, high)


def _ends(inside: NDArray[np.bool_], grid: Floats, step: float) -> Ends:
    some = inside.any(axis=1)
    low = np.where(some, np.maximum(grid[inside.argmax(axis=1)] - step, 0.0), 0.0)
    last = grid.size - 1 - inside[:, ::-1].argmax(axis=1)
    return low, np.where(some, np.minimum(grid[last] + step, 1.0), 1.0)


def mean_excess(d: ArrayLike, margin: float = 0.0) -> Floats:
    """log e after every value against "the mean of d is at most `margin`": for differences of losses in [−1, 1].

    The average over λ = STAKES / (1 + margin) of Π (1 + λ (d − margin)); [..., T] → [..., T]. Valid if each d's mean,
    given the past, is at most the margin. Grows slowly where d is far from its bounds: what it costs to assume nothing.

    >>> mean_excess([0.5, 0.5, 0.5]).round(3).tolist()
    [0.178, 0.376, 0.593]
    """
    d = np.asarray(d, np.float64)
    if not (np.abs(d) <= 1).all() or not -1 < margin < 1:
        raise ValueError("d: differences and their margin must be in [−1, 1]")
    gains = np.log1p(STAKES / (1 + margin) * (d[..., np.newaxis] - margin)).cumsum(axis=-2)
    return np.asarray(np.logaddexp.reduce(gains, axis=-1) - np.log(len(STAKES)))


def _unit(x: ArrayLike) -> Floats:
    x = np.asarray(x, np.float64)
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError("x: values must be in [0, 1]; scale them by their bounds first")
    return x
