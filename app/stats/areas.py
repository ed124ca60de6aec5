"""Bootstrap of areas under the ROC curve: each score is sorted once, resamples only change how often a row counts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.intervals import Interval
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]

RESAMPLES = 1_000
THREADS = 2  # drawing and counting release the interpreter; one generator per thread


@dataclass(frozen=True, slots=True)
class _Order:
    """A score's rows by rising value, positives and negatives apart from each other.

    `below[i]`: how many negatives stand below positive i of the order; `tied`: with those it ties with. None where no
    positive ties with a negative.
    """

    positives: NDArray[np.intp]  # row numbers among the positives
    negatives: NDArray[np.intp]
    below: NDArray[np.intp]
    tied: NDArray[np.intp] | None


def auc_bootstrap(
    actual: ArrayLike, scores: ArrayLike, *, seed: int, resamples: int = RESAMPLES, level: float = 0.95
) -> tuple[Interval, ...]:
    """Percentile intervals: of each score's area (`scores` [s, n]), then of the first minus each other one.

    Positives and negatives are drawn apart, as their numbers are conditioned on by DeLong. The same draws serve all
    scores, so differences are paired. Without two rows of each outcome: no interval.

    >>> y = np.arange(200) % 4 == 0
    >>> s = np.stack((np.sin(1.7 * np.arange(200)) + 0.9 * y, 0.8 * np.cos(2.3 * np.arange(200)) + 0.5 * y))
    >>> one, two, difference = auc_bootstrap(y, s, seed=1)
    >>> round(one.value, 6), difference.low < one.value - two.value < difference.high
    (0.798267, True)
    """
    actual, scores = np.asarray(actual, np.bool_), np.atleast_2d(np.asarray(scores, np.float64))
    if scores.shape[1] != actual.size:
        raise ValueError(f"scores: {scores.shape[1]} for {actual.size} outcomes")
    method, n, count = "stratified bootstrap of counts", actual.size, len(scores)
    m, k = int(actual.sum()), int((~actual).sum())
    if min(m, k) < 2:
        nothing = withheld(np.nan, n, method, "needs two rows of either outcome", level=level)
        return (nothing,) * (2 * count - 1)
    orders = [_order(actual, score) for score in scores]
    drawn = _drawn(orders, m, k, seed, resamples)
    value = np.array([_area(order, np.ones(m), np.ones(k)) for order in orders])
    values = np.concatenate((value, value[0] - value[1:]))
    drawn = np.concatenate((drawn, drawn[0] - drawn[1:]))
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=1)
    assumption = f"rows are independent draws; {resamples} resamples"
    return tuple(
        interval(*ends, method, n, assumption, level=level, n_eff=min(m, k))
        for ends in zip(values, low, high, strict=True)
    )


def _drawn(orders: list[_Order], m: int, k: int, seed: int, resamples: int) -> Floats:
    """[scores, resamples]"""
    share = [resamples // THREADS + (i < resamples % THREADS) for i in range(THREADS)]
    seeds = np.random.SeedSequence(seed).spawn(THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(
            lambda job: _some(orders, m, k, np.random.default_rng(job[0]), job[1]), zip(seeds, share, strict=True)
        )
        return np.concatenate(list(parts), axis=1)


def _some(orders: list[_Order], m: int, k: int, random: np.random.Generator, resamples: int) -> Floats:
    found = np.empty((len(orders), resamples))
    for i in range(resamples):
        of_positives = np.bincount(random.integers(0, m, m, dtype=np.int32), minlength=m)
        of_negatives = np.bincount(random.integers(0, k, k, dtype=np.int32), minlength=k)
        for j, order in enumerate(orders):
            found[j, i] = _area(order, of_positives, of_negatives)
    return found


def _area(order: _Order, of_positives: NDArray[np.number], of_negatives: NDArray[np.number]) -> float:
    counts = of_negatives[order.negatives]
    upto = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=upto[1:], dtype=np.int64)
    weight = of_positives[order.positives]
    pairs = float(np.dot(weight, upto[order.below]))
    if order.tied is not None:
        pairs = (pairs + float(np.dot(weight, upto[order.tied]))) / 2
    return pairs / (of_positives.size * of_negatives.size)


def _order(actual: NDArray[np.bool_], score: Floats) -> _Order:
    pos, neg = score[actual], score[~actual]
    positives, negatives = np.argsort(pos, kind="stable"), np.argsort(neg, kind="stable")
    ordered, among = pos[positives], neg[negatives]
    below = np.searchsorted(among, ordered, side="left")
    tied = np.searchsorted(among, ordered, side="right")
    return _Order(positives, negatives, below, None if np.array_equal(below, tied) else tied)
