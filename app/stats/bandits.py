"""Traffic that follows what is learned: Thompson sampling and UCB1, never below a floor, and honest estimates after.

Arm means after a bandit are biased (a bad start is never corrected); the logged propensities undo that.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv

from app.stats.intervals import ASYMPTOTIC_FROM, Interval, asymptotic
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]

FLOOR = 0.05  # of traffic each arm keeps: so propensities stay usable
_QUANTILES = (np.arange(1000) + 0.5) / 1000
LOGGED = "propensities are those with which arms were drawn; asymptotic"


def thompson(successes: ArrayLike, failures: ArrayLike, *, floor: float = FLOOR) -> Floats:
    """Share of traffic by arm: the chance that it is the best under Beta(1, 1) priors, mixed with the floor.

    P(best) by averaging the others' distribution functions over 1,000 quantiles of each arm: no random numbers, so a
    split can be computed again.

    >>> thompson([50, 70], [50, 30]).round(3).tolist()
    [0.052, 0.948]
    """
    a, b = np.asarray(successes, np.float64) + 1, np.asarray(failures, np.float64) + 1
    if a.shape != b.shape or a.size < 2:
        raise ValueError("successes, failures: one each per arm, two arms or more")
    if (a < 1).any() or (b < 1).any():
        raise ValueError("successes, failures: counts")
    draws = betaincinv(a[:, np.newaxis], b[:, np.newaxis], _QUANTILES)
    below = betainc(a[:, np.newaxis, np.newaxis], b[:, np.newaxis, np.newaxis], draws[np.newaxis])
    below[np.arange(a.size), np.arange(a.size)] = 1.0
    best = below.prod(axis=0).mean(axis=1)
    return _floored(best / best.sum(), floor)


def ucb1(successes: ArrayLike, failures: ArrayLike, *, floor: float = FLOOR) -> Floats:
    """All but the floors to the arm with the highest mean + √(2 log N / n) (Auer et al. 2002); an unseen arm first.

    >>> ucb1([5, 9, 0], [5, 1, 0]).round(2).tolist()
    [0.05, 0.05, 0.9]
    """
    won, lost = np.asarray(successes, np.float64), np.asarray(failures, np.float64)
    n = won + lost
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.where(n > 0, won / n + np.sqrt(2 * np.log(max(n.sum(), 1.0)) / n), np.inf)
    first = np.zeros(n.size)
    first[int(index.argmax())] = 1.0
    return _floored(first, floor)


def choose(shares: ArrayLike, uniform: float) -> int:
    """The arm on which a uniform number of [0, 1) falls.

    >>> choose([0.25, 0.75], 0.2), choose([0.25, 0.75], 0.9)
    (0, 1)
    """
    upto = np.cumsum(np.asarray(shares, np.float64))
    return int(min(np.searchsorted(upto, uniform * upto[-1], side="right"), upto.size - 1))


def after_bandit(
    reward: ArrayLike, arm: ArrayLike, propensity: ArrayLike, which: int, *, level: float = 0.95
) -> Interval:
    """Mean reward of one arm from rows in order of time; `propensity` of the arm `which` at each row, logged.

    Each row's m + 1{drawn} (y − m)/π, m the arm's mean so far (known before the row), has the right mean whatever
    chose π; the asymptotic sequence over rows. Withheld below 500 rows.

    >>> random = np.random.default_rng(0)
    >>> arm = (random.random(4000) < 0.8).astype(int)
    >>> reward = random.random(4000) < np.array([0.3, 0.5])[arm]
    >>> found = after_bandit(reward, arm, np.full(4000, 0.2), 0)
    >>> found.low < 0.3 < found.high, found.validity
    (True, 'anytime')
    """
    pseudo = pseudo_rewards(reward, arm, propensity, which)
    return _sequence(pseudo, int((np.asarray(arm) == which).sum()), level)


def difference_after_bandit(
    reward: ArrayLike, arm: ArrayLike, propensities: ArrayLike, one: int, other: int, *, level: float = 0.95
) -> Interval:
    """Mean reward of arm `one` less arm `other`; `propensities` [n, arms].

    >>> random = np.random.default_rng(0)
    >>> arm = (random.random(4000) < 0.8).astype(int)
    >>> reward = random.random(4000) < np.array([0.3, 0.5])[arm]
    >>> found = difference_after_bandit(reward, arm, np.tile([0.2, 0.8], (4000, 1)), 1, 0)
    >>> found.low < 0.2 < found.high
    True
    """
    pi = np.asarray(propensities, np.float64)
    pseudo = pseudo_rewards(reward, arm, pi[:, one], one) - pseudo_rewards(reward, arm, pi[:, other], other)
    drawn = np.asarray(arm)
    return _sequence(pseudo, int(min((drawn == one).sum(), (drawn == other).sum())), level)


def pseudo_rewards(reward: ArrayLike, arm: ArrayLike, propensity: ArrayLike, which: int) -> Floats:
    """[n] unbiased for the arm's mean reward, row by row.

    >>> pseudo_rewards([1, 0, 1], [0, 1, 0], [0.5, 0.5, 0.5], 0).tolist()
    [2.0, 1.0, 1.0]
    """
    y, pi = np.asarray(reward, np.float64), np.asarray(propensity, np.float64)
    mine = np.asarray(arm) == which
    if not y.shape == pi.shape == mine.shape:
        raise ValueError(f"reward, arm, propensity: {y.size}, {mine.size} and {pi.size} rows")
    if ((pi <= 0) | (pi > 1)).any():
        raise ValueError("propensity: each in (0, 1]; an arm that can't be drawn can't be judged")
    before = np.cumsum(mine) - mine
    so_far = (np.cumsum(np.where(mine, y, 0.0)) - np.where(mine, y, 0.0)) / np.maximum(before, 1)
    return np.asarray(so_far + np.where(mine, (y - so_far) / pi, 0.0))


def _sequence(pseudo: Floats, drawn: int, level: float) -> Interval:
    n = pseudo.size
    value = float(pseudo.mean()) if n else np.nan
    method = "inverse propensity, asymptotic sequence"
    if n < ASYMPTOTIC_FROM:
        return withheld(value, n, method, f"an asymptotic sequence needs {ASYMPTOTIC_FROM} rows", level=level)
    half = float(asymptotic(pseudo.std(), n, level))
    return interval(value, value - half, value + half, method, n, LOGGED, level=level, n_eff=drawn, validity="anytime")


def _floored(shares: Floats, floor: float) -> Floats:
    if not 0 <= floor * shares.size <= 1:
        raise ValueError(f"floor: {floor} for each of {shares.size} arms is more than all traffic")
    return np.asarray(floor + (1 - floor * shares.size) * shares)
