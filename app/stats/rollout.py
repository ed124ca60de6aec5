"""When a canary will be decided, if things are as supposed: from traffic, label delay and an odds ratio."""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from app.stats.canary import WORSE, Canary, Outcome
from app.stats.oddsratio import log_likelihoods

Floats = NDArray[np.float64]

# Buckets that are simulated, paths that are drawn from them, and the longest that is looked ahead.
BUCKETS, PATHS, FARTHEST = 2000, 200, 4000


@dataclass(frozen=True, slots=True)
class Forecast:
    """Looks, labels of both arms and seconds until the decision, in half of the cases; `seconds_high`: in nine of ten.

    ∞ where the evidence does not grow: a canary between "not worse" and the margin may never be decided.
    """

    outcome: Outcome
    looks: float
    labels: float
    seconds: float
    seconds_high: float
    n: int = PATHS
    method: str = "simulated paths of the e-process"
    assumption: str = "traffic, rates, delay and the odds ratio are as supposed"
    validity: str = "a forecast, no evidence"


def forecast(
    canary: Canary,
    *,
    rate: float,
    odds_ratio: float,
    stable_labels: float,
    new_labels: float,
    bucket_seconds: float,
    delay_seconds: float = 0.0,
    since_start_seconds: float = 0.0,
    seed: int = 0,
) -> tuple[Forecast, Forecast]:
    """Until "fail" and until "pass", for a stable version with bad events at `rate`; labels are per bucket.

    By simulation with a fixed seed: buckets as supposed, paths drawn from them, the e-process as it will be computed.
    Labels come `delay_seconds` later, once; `since_start_seconds` of it have passed.

    >>> fail, ok = forecast(
    ...     Canary(), rate=0.05, odds_ratio=2.1, stable_labels=450, new_labels=50, bucket_seconds=3600
    ... )
    >>> 3 < fail.looks < 9, ok.looks
    (True, inf)
    """
    if not 0 < rate < 1 or odds_ratio <= 0 or min(stable_labels, new_labels, bucket_seconds) <= 0:
        raise ValueError("rate must be inside (0, 1); odds_ratio, labels and bucket_seconds positive")
    odds = rate / (1 - rate) * odds_ratio
    random = np.random.default_rng(seed)
    n_a, n_b = random.poisson(stable_labels, BUCKETS), random.poisson(new_labels, BUCKETS)
    x_a, x_b = random.binomial(n_a, rate), random.binomial(n_b, odds / (1 + odds))
    allowed = log(canary.margin)
    worse = _growth(x_a, n_a, x_b, n_b, 0.0, np.log(WORSE))
    fine = _growth(x_a, n_a, x_b, n_b, allowed, allowed - np.log(WORSE))
    labels, wait = stable_labels + new_labels, max(0.0, delay_seconds - since_start_seconds)
    return (
        _reached(Outcome.FAIL, worse, canary.rollback_alpha, labels, bucket_seconds, wait),
        _reached(Outcome.PASS, fine, canary.promote_alpha, labels, bucket_seconds, wait),
    )


def _growth(
    x_a: NDArray[np.int64],
    n_a: NDArray[np.int64],
    x_b: NDArray[np.int64],
    n_b: NDArray[np.int64],
    null: float,
    grid: Floats,
) -> Floats:
    """Log likelihood ratios of simulated buckets, [BUCKETS, G]."""
    found = log_likelihoods(x_a, n_a, x_b, n_b, np.concatenate(([null], grid)))
    return np.asarray(found[:, 1:] - found[:, :1])


def _reached(
    outcome: Outcome, growth: Floats, alpha: float, labels: float, bucket_seconds: float, wait: float
) -> Forecast:
    looks = _looks(growth, -log(alpha))
    half, most = (float(np.quantile(looks, part, method="higher")) for part in (0.5, 0.9))
    return Forecast(outcome, half, half * labels, half * bucket_seconds + wait, most * bucket_seconds + wait)


def _looks(growth: Floats, need: float) -> Floats:
    """Looks until the mixture reaches `need`, of PATHS paths drawn from the buckets; ∞ beyond what is looked ahead."""
    mean, error = growth.mean(axis=0), growth.std(axis=0) / sqrt(len(growth))
    best = int(mean.argmax())
    if mean[best] <= 2 * error[best]:
        return np.full(PATHS, np.inf)
    ahead = min(FARTHEST, int(10 * (need + log(growth.shape[1])) / mean[best]) + 10)
    random = np.random.default_rng(PATHS)
    total, looks = np.zeros((PATHS, growth.shape[1])), np.full(PATHS, np.inf)
    for look in range(1, ahead + 1):
        total += growth[random.integers(len(growth), size=PATHS)]
        reached = np.logaddexp.reduce(total, axis=1) - log(growth.shape[1]) >= need
        looks[reached & np.isinf(looks)] = look
        if not np.isinf(looks).any():
            break
    return looks
