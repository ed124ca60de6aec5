"""When a canary will be decided, if things are as supposed: from traffic, label delay and an odds ratio."""

from dataclasses import dataclass
from math import inf, log, sqrt

import numpy as np
from numpy.typing import NDArray

from app.stats.canary import WORSE, Canary, Outcome
from app.stats.oddsratio import log_likelihoods

Floats = NDArray[np.float64]

BUCKETS = 400  # simulated; growth per bucket is known to 5 % where it matters
UPPER = 1.2816  # the normal quantile of .9


@dataclass(frozen=True, slots=True)
class Forecast:
    """Looks, labels of both arms and seconds until the decision: expected, and not exceeded in nine cases of ten.

    ∞ where the evidence does not grow: a canary between "not worse" and the margin may never be decided.
    """

    outcome: Outcome
    looks: float
    labels: float
    seconds: float
    seconds_high: float


def forecast(
    canary: Canary,
    *,
    rate: float,
    odds_ratio: float,
    stable_labels: float,
    new_labels: float,
    bucket_seconds: float,
    delay_seconds: float = 0.0,
    looks_seconds_ago: float = 0.0,
    seed: int = 0,
) -> tuple[Forecast, Forecast]:
    """Until "fail" and until "pass", for a stable version with bad events at `rate`; labels are per bucket.

    The fastest term's mean growth μ and variance v per bucket: its threshold log(G/α) is reached after b/μ looks on
    average, with variance bv/μ³ (Wald). Labels come `delay_seconds` later, once; `looks_seconds_ago` of it have passed.

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
    labels, wait = stable_labels + new_labels, max(0.0, delay_seconds - looks_seconds_ago)
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
    mean, need = growth.mean(axis=0), log(growth.shape[1] / alpha)
    best = int(mean.argmax())
    error = float(growth[:, best].std() / sqrt(BUCKETS))
    if mean[best] <= 2 * error:
        return Forecast(outcome, inf, inf, inf, inf)
    looks = max(1.0, need / float(mean[best]))
    spread = sqrt(need * float(growth[:, best].var()) / float(mean[best]) ** 3)
    return Forecast(
        outcome=outcome,
        looks=looks,
        labels=looks * labels,
        seconds=looks * bucket_seconds + wait,
        seconds_high=(looks + UPPER * spread) * bucket_seconds + wait,
    )
