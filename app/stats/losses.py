"""A canary judged by a loss instead of a rate of events: differences of bucket means, new less stable.

Bounded losses by betting, unbounded ones by an asymptotic confidence sequence. With randomised routing the two means of
a bucket have one expectation while the canary is no worse, however it moves from bucket to bucket.
"""

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.betting import betting, mean_excess
from app.stats.canary import Outcome
from app.stats.intervals import Interval, asymptotic

Floats = NDArray[np.float64]

# Differences of fewer buckets are not normal enough for an asymptotic sequence, which is tightest at this many.
ASYMPTOTIC_FROM, TIGHTEST_AT = 50, 150


@dataclass(frozen=True, slots=True)
class Question:
    """`margin`: the mean difference from which the new version is too bad to promote, in the loss's units."""

    margin: float
    rollback_alpha: float = 0.01
    promote_alpha: float = 0.05

    def __post_init__(self) -> None:
        if self.margin <= 0:
            raise ValueError("margin must be positive")


@dataclass(frozen=True, slots=True)
class LossVerdict:
    outcome: Outcome
    difference: Interval


def judge_bounded(question: Question, differences: ArrayLike, *, bound: float, level: float = 0.95) -> LossVerdict:
    """Losses in [0, bound]: P(ever "fail" | not worse) ≤ rollback_alpha, P(ever "pass" | margin worse) ≤ promote_alpha.

    Assumed: each bucket's difference has mean ≤ 0 (≥ margin), given the past; nothing else. Slow where differences are
    small against the bound; clip the loss to a bound that is seldom reached.

    >>> judge_bounded(Question(0.2), [0.6, 0.5, 0.7] * 10, bound=1.0).outcome
    <Outcome.FAIL: 'fail'>
    """
    d = np.asarray(differences, np.float64) / bound
    margin, looks = question.margin / bound, len(d)
    need_worse, need_fine = -log(question.rollback_alpha), -log(question.promote_alpha)
    if looks and mean_excess(d).max() >= need_worse:
        outcome = Outcome.FAIL
    elif looks and mean_excess(-d, -margin).max() >= need_fine:
        outcome = Outcome.PASS
    elif not looks or mean_excess(np.ones(looks))[-1] < need_worse:
        outcome = Outcome.NOT_ENOUGH_LABELS
    else:
        outcome = Outcome.INCONCLUSIVE
    low, high = betting((d + 1) / 2, level)
    ends = (float(2 * low[-1] - 1) * bound, float(2 * high[-1] - 1) * bound) if looks else (-bound, bound)
    assumption = "each bucket's difference has the same mean, given the past"
    return LossVerdict(outcome, _interval(d * bound, ends, level, "betting on bucket differences", assumption))


def judge_unbounded(question: Question, differences: ArrayLike, *, level: float = 0.95) -> LossVerdict:
    """Any loss with a variance, from 50 buckets on; below, the labels are not enough.

    Asymptotic: the chances are reached as buckets grow in number. "Fail" when the sequence at rollback_alpha lies above
    0, "pass" when the one at promote_alpha lies below the margin, each at any look (the running best is kept).

    >>> judge_unbounded(Question(0.2), np.sin(np.arange(100)) * 0.1).outcome
    <Outcome.PASS: 'pass'>
    """
    d = np.asarray(differences, np.float64)
    assumption = "bucket differences are independent with one mean; asymptotic: the level is reached as buckets grow"
    if len(d) < ASYMPTOTIC_FROM:
        none = (float("nan"), float("nan"))
        return LossVerdict(Outcome.NOT_ENOUGH_LABELS, _interval(d, none, level, "none", assumption))
    n = np.arange(1, len(d) + 1)
    mean = np.cumsum(d) / n
    sd = np.sqrt(np.maximum(np.cumsum(d**2) / n - mean**2, 0.0) * n / np.maximum(n - 1, 1))
    may = n >= ASYMPTOTIC_FROM

    def half(alpha: float) -> Floats:
        return np.asarray(asymptotic(sd, n, 1 - alpha, tightest_at=TIGHTEST_AT))

    if (may & (mean - half(question.rollback_alpha) > 0)).any():
        outcome = Outcome.FAIL
    elif (may & (mean + half(question.promote_alpha) < question.margin)).any():
        outcome = Outcome.PASS
    else:
        outcome = Outcome.INCONCLUSIVE
    wide = float(half(1 - level)[-1])
    ends = (float(mean[-1]) - wide, float(mean[-1]) + wide)
    return LossVerdict(outcome, _interval(d, ends, level, "asymptotic sequence of bucket differences", assumption))


def _interval(
    d: Floats,
    ends: tuple[float, float],
    level: float,
    method: str,
    assumption: str,
) -> Interval:
    value = float(d.mean()) if len(d) else float("nan")
    return Interval(value, *ends, level, method, len(d), float(len(d)), assumption, "anytime")
