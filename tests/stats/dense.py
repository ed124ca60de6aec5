"""Areas from whole histograms, bin by bin: what the ladder's short form is held against."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from app.stats.auc import Ranks
from app.stats.codes import SCORE_BINS, Family
from app.stats.ladder import Ladder, Spans
from app.stats.tally import Tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def histograms(tally: Tally) -> tuple[Ints, Ints]:
    """Positives and negatives, each [P, c, 1024]."""
    grid = np.zeros((tally.points, tally.score_classes, 2, SCORE_BINS), np.int64)
    mine = tally.sparse.code >> 24 == Family.CLASS_SCORE
    index = (tally.sparse.code[mine] & 0xFFFFFF).astype(np.int64)
    grid.reshape(tally.points, -1)[tally.sparse.cell[mine], index] = tally.sparse.amount[mine]
    return grid[:, :, 1], grid[:, :, 0]


def ladder(positive: Ints, negative: Ints) -> Ladder:
    """[R, bins] counts as a ladder."""
    sides, amounts, codes, before = [], [], [], 0
    for counts in (negative, positive):
        row, place = np.nonzero(counts)
        stop = before + np.searchsorted(row, np.arange(1, len(counts) + 1))
        sides.append(Spans(np.append(before, stop[:-1]), stop))
        codes.append(place.astype(np.uint32))
        amounts.append(counts[row, place])
        before += row.size
    return Ladder.of(np.concatenate(codes), np.concatenate(amounts), *sides)


def ranks(positive: Ints, negative: Ints) -> Ranks:
    """DeLong's variance from placement values, counts [..., bins]."""
    pos, neg = positive.astype(np.float64), negative.astype(np.float64)
    m, n = pos.sum(axis=-1), neg.sum(axis=-1)
    some_m, some_n = np.maximum(m, 1.0)[..., np.newaxis], np.maximum(n, 1.0)[..., np.newaxis]
    below = (np.cumsum(neg, axis=-1) - neg / 2) / some_n
    above = (some_m - np.cumsum(pos, axis=-1) + pos / 2) / some_m
    area = (pos * below).sum(axis=-1) / some_m[..., 0]
    bound = (pos * neg).sum(axis=-1) / (2 * some_m * some_n)[..., 0]
    return Ranks(area, bound, _variance(pos, below, area, m), _variance(neg, above, area, n), m, n)


def _variance(counts: Floats, placement: Floats, area: Floats, n: Floats) -> Floats:
    spread = (counts * (placement - area[..., np.newaxis]) ** 2).sum(axis=-1)
    return np.where(n > 1, spread / np.maximum((n - 1) * n, 1.0), np.nan)


def precision(positive: Ints, negative: Ints) -> tuple[Floats, Floats, Floats]:
    """Average precision, its bound, its variance, counts [..., bins]; NaN where an outcome is missing."""
    pos, neg = positive[..., ::-1].astype(np.float64), negative[..., ::-1].astype(np.float64)  # by falling score
    m, n = pos.sum(axis=-1), neg.sum(axis=-1)
    tp, fp = np.cumsum(pos, axis=-1), np.cumsum(neg, axis=-1)
    first, last = _run(tp - pos, fp - neg, pos), _run(tp - pos, fp, pos)
    some = np.maximum(m, 1.0)
    tied = pos * tp / np.maximum(tp + fp - neg, 1.0)
    value = (first + last).sum(axis=-1) / 2 / some
    bound = np.maximum(tied.sum(axis=-1) / some - value, value - last.sum(axis=-1) / some)
    rows = np.maximum(tp + fp, 1.0)
    weight = pos / rows**2
    lower_fp = np.cumsum((weight * fp)[..., ::-1], axis=-1)[..., ::-1]
    lower_tp = np.cumsum((weight * tp)[..., ::-1], axis=-1)[..., ::-1]
    of_positive, of_negative = tp / rows - value[..., np.newaxis] + lower_fp, lower_tp
    variance = (pos * of_positive**2 + neg * of_negative**2).sum(axis=-1) / some**2
    missing = (m == 0) | (n == 0)
    known = (np.where(missing, np.nan, part) for part in (value, bound, variance))
    return tuple(known)  # type: ignore[return-value]


def _run(a: Floats, b: Floats, p: Floats) -> Floats:
    """Σ_{i=1..p} (a+i)/(a+i+b)."""
    return np.where(p > 0, p - b * (digamma(a + b + p + 1) - digamma(a + b + 1)), 0.0)
