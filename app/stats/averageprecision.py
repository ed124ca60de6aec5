"""Area under the precision-recall curve (average precision) from score histograms, with a certified bound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from app.stats.evidence import ASYMPTOTIC, LOGIT, Evidence, Smooth
from app.stats.ladder import Ladder
from app.stats.onevsrest import ROUNDING, Problems, macro, undefined
from app.stats.registry import BOTH, metric
from app.stats.tally import Tally

Floats = NDArray[np.float64]

TERMS = 8  # up to here terms are added one by one: cheaper than two digammas, and exact to the last digit


@dataclass(frozen=True, slots=True)
class Precision(Problems):
    """[R] average precision, its bound, its variance; NaN where an outcome is missing."""

    value: Floats
    bound: Floats
    variance: Floats


@metric(tasks=BOTH, needs_scores=True, needs_histogram=True, meaning="Average precision over the recalls.")
def pr_auc(tally: Tally) -> Evidence:
    """scikit-learn's average_precision_score: the middle of what the order inside the bins allows.

    Interval: delta method on the logit, by the influence function of Σ P_k TP_k/(TP_k + FP_k) / m. Multiclass as
    `roc_auc`.
    """
    found = precision_of(tally.ladders).by_class(tally)
    usable = ~np.isnan(found.value)
    value = macro(found.value, usable)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = tally.scored * (macro(np.sqrt(found.variance), usable) / (value * (1 - value))) ** 2
    return Smooth(
        value=value,
        variance=np.where(spread > 0, spread, np.nan),
        rows=tally.scored,
        axis=LOGIT,
        method="delta",
        limits=(0.0, 1.0),
        note=undefined(tally, value),
        assumption=ASYMPTOTIC,
        bound=macro(found.bound, usable),
    )


def precision_of(ladders: Sequence[Ladder]) -> Precision:
    """p positives and q negatives in a bin, after a positives and b negatives above it, add to the sum at least
    Σ_{i≤p} (a+i)/(a+i+b+q) (the negatives first), at most p (a+p)/(a+p+b) (the positives first, tied). The value is the
    middle of the two orders without ties.

    >>> from app.stats.ladder import Spans
    >>> negative, positive = Spans(np.array([0]), np.array([1])), Spans(np.array([1]), np.array([3]))
    >>> ladder = Ladder.of(np.array([1, 0, 2], np.uint32), np.array([1, 1, 1]), negative, positive)
    >>> found = precision_of([ladder])
    >>> found.value.round(6).tolist(), bool(found.bound[0] < 1e-9)
    ([0.833333], True)
    """
    return Precision.joined([_precision(ladder) for ladder in ladders])


def _precision(ladder: Ladder) -> Precision:
    some = np.maximum(ladder.positives, 1.0)
    hits = (ladder.above + ladder.count).astype(np.float64)
    misses = ladder.each(ladder.negatives.astype(np.float64))
    misses -= ladder.below.astype(np.float64)
    rows = hits + misses
    share = hits / rows
    value, bound = _ordered(ladder, hits, misses, share, some)
    variance = _precision_variance(ladder, rows, share, ladder.each(value)) / some**2
    missing = (ladder.positives == 0) | (ladder.negatives == 0)
    return Precision(*(np.where(missing, np.nan, values) for values in (value, bound, variance)))


def _ordered(ladder: Ladder, hits: Floats, misses: Floats, share: Floats, some: Floats) -> tuple[Floats, Floats]:
    """Value and bound. Bins of one positive and no negative have but one order, and add their share."""
    odd = np.flatnonzero((ladder.count > 1) | (ladder.upto > ladder.below))
    count, tied = ladder.count[odd].astype(np.float64), (ladder.upto[odd] - ladder.below[odd]).astype(np.float64)
    upto, misses, problem = hits[odd], misses[odd], ladder.problem[odd]
    plain, size, over = ladder.sums(share), some.size, misses - tied
    plain -= np.bincount(problem, share[odd], size)

    def total(terms: Floats) -> Floats:
        return np.asarray(plain + np.bincount(problem, terms, size)) / some

    first, last = _run(upto - count, over, count), _run(upto - count, misses, count)
    value, lowest = total((first + last) / 2), total(last)
    highest = total(count * upto / (upto + over))
    return value, np.maximum(highest - value, value - lowest) + ROUNDING


def _precision_variance(ladder: Ladder, rows: Floats, share: Floats, value: Floats) -> Floats:
    """[R] Σ ψ² over rows, m ψ the influence of one row on Σ P_k TP_k/(TP_k + FP_k).

    A positive's: its own share, and what it takes from the thresholds at or below it; a negative's the latter alone.
    """
    count = ladder.count.astype(np.float64)
    weight = count / rows
    of_hits = ladder.running(weight * share)
    of_positive = ladder.running(weight)
    of_positive -= of_hits  # Σ weight · FP / rows
    of_positive += share
    of_positive -= value
    of_positive *= of_positive
    of_positive *= count
    of_hits *= of_hits
    of_hits *= (ladder.upto - ladder.below).astype(np.float64) + ladder.passing
    of_positive += of_hits
    return ladder.sums(of_positive)


def _run(a: Floats, b: Floats, p: Floats) -> Floats:
    """Σ_{i=1..p} (a+i)/(a+i+b), p ≥ 1; from the longer ones on p − b (ψ(a+b+p+1) − ψ(a+b+1))."""
    terms = (a + 1) / (a + b + 1)  # the sum where p = 1, which is most bins of a small bucket
    more, long = np.flatnonzero((p > 1) & (p <= TERMS)), np.flatnonzero(p > TERMS)
    for i in range(2, TERMS + 1):
        above = a[more] + i
        terms[more] += above / (above + b[more])
        more = more[p[more] > i]
    terms[long] = p[long] - b[long] * _digamma_step((a + b)[long] + 1, p[long])
    return terms


def _digamma_step(x: Floats, p: Floats) -> Floats:
    """ψ(x + p) − ψ(x); above 32 by the difference of the asymptotic series, which loses no digits."""
    small = x < 32
    step = np.empty_like(x)
    step[small] = digamma(x[small] + p[small]) - digamma(x[small])
    x, p = x[~small], p[~small]
    y = x + p
    u, v = 1 / (x * x), 1 / (y * y)
    series = v * (1 / 12 - v * (1 / 120 - v / 252)) - u * (1 / 12 - u * (1 / 120 - u / 252))
    step[~small] = np.log1p(p / x) + p / (2 * x * y) - series
    return step
