"""Labels that were bought for some rows only, with known probabilities: honest estimates, and whom to ask next."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.intervals import Interval, t_of, wilson
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]

LEAST_PROBABILITY = 0.005  # a row asked more rarely would speak for over 200
UNIFORM = 0.2  # of the budget, so that no stratum is judged by the model's own opinion of it alone
KNOWN = "each row was labelled independently with the probability given"


def hajek(values: ArrayLike, probability: ArrayLike, *, level: float = 0.95) -> Interval:
    """Σ x/π / Σ 1/π over the labelled rows (Hájek 1971), linearised variance Σ ((x − θ)/π)² / (Σ 1/π)².

    n_eff is Kish's (Σw)² / Σw². For outcomes 0 and 1 the interval is Wilson's, with the smaller of Kish's n and the n
    that would have this variance: the variance of a few heavy errors is not known better than their weights allow. Else
    t with n_eff − 1 degrees. Fewer than two rows: none.

    >>> found = hajek([1, 1, 0, 1, 1, 1, 1, 1], [0.5, 0.5, 1, 1, 0.5, 0.5, 0.5, 0.5])
    >>> round(found.value, 4), round(found.n_eff, 2), round(found.low, 3)
    (0.9286, 7.54, 0.576)
    """
    x, pi = np.asarray(values, np.float64), np.asarray(probability, np.float64)
    if x.shape != pi.shape:
        raise ValueError(f"values, probability: {x.size} and {pi.size}")
    if ((pi <= 0) | (pi > 1)).any():
        raise ValueError("probability: each in (0, 1]")
    n, method = x.size, "hajek"
    if n < 2:
        return withheld(float(x[0]) if n else np.nan, n, method, "needs two labelled rows", level=level)
    weight = 1 / pi
    total = float(weight.sum())
    value = float((weight * x).sum() / total)
    variance = float(((weight * (x - value)) ** 2).sum()) / total**2 * n / (n - 1)
    kish = total**2 / float((weight**2).sum())
    if ((x == 0) | (x == 1)).all():
        size = min(kish, value * (1 - value) / variance) if variance > 0 else kish
        ends = wilson(value * size, size, level)
        return interval(value, float(ends[0]), float(ends[1]), "hajek, wilson", n, KNOWN, level=level, n_eff=size)
    half = float(t_of(level, max(kish - 1, 1.0))) * np.sqrt(variance)
    return interval(value, value - half, value + half, "hajek, t", n, KNOWN, level=level, n_eff=kish)


@dataclass(frozen=True, slots=True)
class Plan:
    """By stratum: the probability of asking for a label, and how many labels that buys. `gain`: the variance of an even
    sample of the same size over this one's, as expected from `chance`.
    """

    probability: Floats
    labels: Floats
    gain: float
    method: str = "neyman, a fifth of the budget spread evenly"
    assumption: str = "the chances are calibrated, and rows come as many as said"
    validity: str = "a plan, no evidence"


def plan(rows: ArrayLike, chance: ArrayLike, budget: float) -> Plan:
    """Strata of the score with `rows` to come and the calibrated `chance` of a hit: whom to ask with `budget` labels.

    Neyman's allocation, π ∝ √(c (1 − c)), with a fifth of the budget spread evenly; at least .005, at most 1 (what that
    frees goes to the rest). A budget of all rows or more asks all.

    >>> found = plan([9000, 1000], [0.99, 0.5], 1000)
    >>> found.probability.round(3).tolist(), round(float(found.labels.sum())), found.gain > 1
    ([0.077, 0.307], 1000, True)
    """
    n, c = np.asarray(rows, np.float64), np.asarray(chance, np.float64)
    if n.shape != c.shape or ((c < 0) | (c > 1)).any():
        raise ValueError("rows, chance: one each per stratum, chances in [0, 1]")
    total = float(n.sum())
    if total == 0 or budget >= total:
        everyone = np.ones_like(n)
        return Plan(everyone, n, 1.0)
    sd = np.sqrt(c * (1 - c))
    probability = _mixed(n, sd, budget)
    even = budget / total
    spread = n * sd**2
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = float(np.nansum(spread / even) / np.nansum(spread / probability))
    return Plan(probability, probability * n, gain if np.isfinite(gain) else 1.0)


def _mixed(n: Floats, sd: Floats, budget: float) -> Floats:
    """Scale the Neyman part until the clipped probabilities spend the budget, by bisection."""
    even = UNIFORM * budget / n.sum()
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        spent = float((n * np.clip(even + middle * sd, LEAST_PROBABILITY, 1.0)).sum())
        low, high = (middle, high) if spent < budget else (low, middle)
    probability = np.clip(even + high * sd, LEAST_PROBABILITY, 1.0)
    if high >= 1e9 * (1 - 1e-9):  # nothing is uncertain: even
        return np.full_like(n, max(budget / float(n.sum()), LEAST_PROBABILITY))
    return np.asarray(probability)
