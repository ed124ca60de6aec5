"""One look of one monitor, in plain floats: on grids of six to sixteen terms several times faster than arrays.

The same formulas as `conformal.count_p`, `bets` and `edetector`, which the tests hold against each other.
"""

from functools import lru_cache
from math import exp, inf, log, log1p, sqrt

import numpy as np
from scipy.special import ndtri

from app.stats.bets import ABOVE, LEAST_SCALE, STAKES, USUAL_ROWS, Bets
from app.stats.conformal import LEAST, MOST, count_p

Terms = tuple[float, ...]

# Above this spread of the hypergeometric law the sum has hundreds of terms, and arrays are faster.
SMALL_SPREAD = 12.0
NEGLIGIBLE = 1e-19  # of the sum so far: what is left beyond changes no bit that matters


def started(size: int) -> Terms:
    """
    >>> started(2)
    (-inf, -inf)
    """
    return (-inf,) * size


def advance(log_m: Terms, increments: Terms, log_start: float = 0.0) -> Terms:
    """
    >>> advance(started(1), (0.5,))
    (0.5,)
    """
    return tuple([_add(m, log_start) + inc for m, inc in zip(log_m, increments, strict=True)])


def _add(a: float, b: float) -> float:
    """log(eᵃ + eᵇ), b finite."""
    return a + log1p(exp(b - a)) if a > b else b + log1p(exp(a - b))


def log_value(log_m: Terms) -> float:
    """log of the mean of the grid.

    >>> round(log_value((0.0, log(3.0))), 6)
    0.693147
    """
    top = max(log_m)
    if top == -inf:
        return -inf
    return top + log(sum([exp(m - top) for m in log_m]) / len(log_m))


def weighted_value(log_m: Terms, spent: float) -> float:
    """As `edetector.weighted_value`.

    >>> weighted_value(started(2), 0.0)
    0.0
    """
    value = log_value(log_m)
    if spent >= 1:
        return value
    return _add(value, log1p(-spent))


def count_p_of(history_n: int, history_x: int, n: int, x: int, v: float) -> float:
    """`conformal.count_p` of one bucket.

    >>> round(count_p_of(10_000, 500, 500, 40, 0.5), 10)
    0.0027463575
    """
    whole, marked = history_n + n, history_x + x
    if n == 0 or history_n == 0:
        return v
    share = marked / whole
    if sqrt(n * share * (1 - share)) > SMALL_SPREAD:
        return float(count_p(history_n, history_x, n, x, v))
    above = _sum_above(marked, n, whole, x)
    below = _sum_above(marked, whole - n, whole, marked - x)  # the same law, read from the other side
    return min(max((above + v) / (above + 1.0 + below), LEAST), MOST)


def _sum_above(marked: int, drawn: int, whole: int, x: int) -> float:
    """P(Hyp > x) / P(Hyp = x) by ratios of successive masses."""
    total, mass, k = 0.0, 1.0, x
    rest = whole - marked - drawn + 1
    while mass > NEGLIGIBLE * total or mass > 1.0:
        mass *= (marked - k) * (drawn - k) / ((k + 1) * (rest + k))
        if mass <= 0.0:
            break
        total += mass
        k += 1
    return total


def against(bets: Bets, u: float, rows: int) -> Terms:
    """`bets.log_increments(u, scale_of(rows))` of one u.

    >>> from app.stats.bets import NORMAL
    >>> [round(value, 3) for value in against(NORMAL, 0.05, 500)][:3]
    [0.697, 1.145, 1.342]
    """
    scale = min(max(sqrt(rows / USUAL_ROWS), LEAST_SCALE), 1.0)
    z = -float(ndtri(u))
    shifted = [d * scale for d in bets.shifts]
    normal = [d * z - d * d / 2 for d in shifted]
    return (*normal, *[log(1 - bets.stake + bets.stake / e * (u < e)) for e in bets.tails])


def over_rate(q0: float, x: int, n: int) -> Terms:
    """`bets.rate_floor` of one bucket.

    >>> round(max(over_rate(0.05, 40, 500)), 3)
    4.028
    """
    return tuple([x * hit + (n - x) * miss for hit, miss in _rates(q0)])


@lru_cache(maxsize=4096)
def _rates(q0: float) -> tuple[tuple[float, float], ...]:
    if not 0 < q0 < 1:
        raise ValueError(f"q0: {q0} is not inside (0, 1)")
    q = q0 + (1 - q0) * ABOVE
    return tuple(zip(np.log(q / q0).tolist(), np.log1p(-(q - q0) / (1 - q0)).tolist(), strict=True))


def below_mean(m0: float, value: float) -> Terms:
    """`bets.mean_floor` of one bucket.

    >>> round(below_mean(0.9, 0.8)[4], 3)
    0.336
    """
    if not 0 <= m0 < 1 or not 0 <= value <= 1:
        raise ValueError("value: values and their floor m0 must be in [0, 1], m0 below 1")
    return tuple([log1p(stake / (1 - m0) * (m0 - value)) for stake in STAKES.tolist()])
