"""Areas under the ROC and the precision-recall curve: exact from rows, from score histograms with a certified bound.

Rows of one bin are ordered unknown to the histogram; the bound is what that can change at most, so the value from all
rows is always within value ± bound. Multiclass: macro over the classes, one against the rest, that have both outcomes.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, expit, logit

from app.stats.evidence import ASYMPTOTIC, IID, LOGIT, Estimates, Evidence, Ranked, Smooth, counted, notes, unlabelled
from app.stats.intervals import t_of, z_of
from app.stats.registry import BOTH, metric
from app.stats.tally import Tally

Floats = NDArray[np.float64]
Ends = tuple[Floats, Floats]

POINTS_AT_ONCE = 128  # so that the working arrays (1 MB each) stay in the cache
ROUNDING = 1e-12  # float64 sums of a thousand bins; joins the certified bound
ONE_OUTCOME = "undefined, the scored rows have only one outcome"
AVERAGED = "the macro average's standard error is bounded by the mean of the classes'"


@dataclass(frozen=True, slots=True)
class Ranks:
    """[P, c] for c one-against-rest problems: area, its bound, DeLong's two variance parts, positives and negatives."""

    area: Floats
    bound: Floats
    of_positives: Floats
    of_negatives: Floats
    positives: Floats
    negatives: Floats

    @property
    def usable(self) -> NDArray[np.bool_]:
        return (self.positives > 0) & (self.negatives > 0)


@metric(tasks=BOTH, needs_scores=True, needs_histogram=True, meaning="Chance that a positive scores above a negative.")
def roc_auc(tally: Tally) -> Evidence:
    """Σ P_j (Q_<j + Q_j/2) / (mn) over bins; the value from all rows is within Σ P_j Q_j / (2mn).

    At a fixed n the union of Newcombe's method 5 and the logit-DeLong interval with Satterthwaite's t: DeLong alone
    covers .85 with 50 positives at .98, the union at least .949 in all cells tried.
    """
    ranks = _joined([from_histogram(pos, neg) for pos, neg in _histograms(tally)], tally.score_classes)
    value, bound = _macro(ranks.area, ranks.usable), _macro(ranks.bound, ranks.usable)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = _macro(np.sqrt(ranks.of_positives + ranks.of_negatives), ranks.usable)
        spread = tally.scored * (error / (value * (1 - value))) ** 2
    smooth = Smooth(
        value=value,
        variance=np.where(spread > 0, spread, np.nan),
        rows=tally.scored,
        axis=LOGIT,
        method="delong",
        limits=(0.0, 1.0),
        note=_note(tally, value),
        assumption=ASYMPTOTIC,
        bound=bound,
    )
    return Ranked(lambda level: _area_estimates(tally, ranks, smooth, level), smooth)


@metric(tasks=BOTH, needs_scores=True, needs_histogram=True, meaning="Average precision over the recalls.")
def pr_auc(tally: Tally) -> Evidence:
    """scikit-learn's average_precision_score: the middle of what the order inside the bins allows.

    Interval: delta method on the logit, by the influence function of Σ P_k TP_k/(TP_k + FP_k) / m. Multiclass as
    `roc_auc`.
    """
    parts = [average_precision(pos, neg) for pos, neg in _histograms(tally)]
    area, bounds, variances = (_stack([part[i] for part in parts], tally.score_classes) for i in range(3))
    usable = ~np.isnan(area)
    value = _macro(area, usable)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = tally.scored * (_macro(np.sqrt(variances), usable) / (value * (1 - value))) ** 2
    return Smooth(
        value=value,
        variance=np.where(spread > 0, spread, np.nan),
        rows=tally.scored,
        axis=LOGIT,
        method="delta",
        limits=(0.0, 1.0),
        note=_note(tally, value),
        assumption=ASYMPTOTIC,
        bound=_macro(bounds, usable),
    )


def from_histogram(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> Ranks:
    """Counts [..., bins] by rising score → areas with DeLong's variance from placement values.

    >>> ranks = from_histogram(np.array([[[0, 1, 2]]]), np.array([[[2, 1, 0]]]))
    >>> ranks.area.round(6).tolist(), ranks.bound.round(6).tolist()
    ([[0.944444]], [[0.055556]])
    """
    pos, neg = positive.astype(np.float64), negative.astype(np.float64)
    m, n = pos.sum(axis=-1), neg.sum(axis=-1)
    some_m, some_n = np.maximum(m, 1.0)[..., np.newaxis], np.maximum(n, 1.0)[..., np.newaxis]
    below = (np.cumsum(neg, axis=-1) - neg / 2) / some_n  # placement of a positive in this bin
    above = (some_m - np.cumsum(pos, axis=-1) + pos / 2) / some_m
    area = (pos * below).sum(axis=-1) / some_m[..., 0]
    bound = (pos * neg).sum(axis=-1) / (2 * some_m * some_n)[..., 0] + ROUNDING
    return Ranks(
        area,
        bound,
        _placement_variance(pos, below, area, m),
        _placement_variance(neg, above, area, n),
        m,
        n,
    )


def _placement_variance(counts: Floats, placement: Floats, area: Floats, n: Floats) -> Floats:
    """Variance of the mean placement; NaN for n < 2."""
    spread = (counts * (placement - area[..., np.newaxis]) ** 2).sum(axis=-1)
    return np.where(n > 1, spread / np.maximum((n - 1) * n, 1.0), np.nan)


def newcombe(area: Floats, positives: Floats, negatives: Floats, level: float) -> Ends:
    """Newcombe 2006, method 5: the θ with |area − θ| ≤ z √V(θ), by bisection.

    V(θ) = θ(1−θ) (1 + N ((1−θ)/(2−θ) + θ/(1+θ))) / (mn), N = (m + n)/2 − 1.

    >>> low, high = newcombe(np.array(0.9), np.array(20.0), np.array(30.0), 0.95)
    >>> round(float(low), 3), round(float(high), 3)
    (0.764, 0.959)
    """
    extra, pairs = (positives + negatives) / 2 - 1, positives * negatives
    z2 = z_of(level) ** 2
    low, high, middle = np.zeros_like(area), np.ones_like(area), np.stack((area, area))
    far = np.stack((low, high))
    for _ in range(40):  # to 1e-12
        theta = (far + middle) / 2
        variance = theta * (1 - theta) * (1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / pairs
        outside = (area - theta) ** 2 > z2 * variance
        far, middle = np.where(outside, theta, far), np.where(outside, middle, theta)
    return far[0], far[1]


def delong_interval(ranks: Ranks, level: float) -> Ends:
    """expit(logit(area) ± t · se / (area (1 − area))) with Satterthwaite's degrees of freedom; NaN where undefined."""
    a, b = ranks.of_positives, ranks.of_negatives
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (a + b) ** 2 / (a**2 / (ranks.positives - 1) + b**2 / (ranks.negatives - 1))
        half = t_of(level, df) * np.sqrt(a + b) / (ranks.area * (1 - ranks.area))
        center = logit(ranks.area)
        ends = expit(center - half), expit(center + half)
    defined = np.isfinite(center) & np.isfinite(half) & (half > 0)
    return np.where(defined, ends[0], np.nan), np.where(defined, ends[1], np.nan)


def delong(actual: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Exact areas and their covariance from rows, scores [s, n] of the same rows (DeLong 1988; Sun and Xu 2014).

    >>> areas, _ = delong(np.array([True, False, True]), np.array([[0.9, 0.1, 0.4]]))
    >>> areas.tolist()
    [1.0]
    """
    actual = np.asarray(actual, np.bool_)
    placed = np.stack([_placements(actual, row) for row in scores])
    of_positives, of_negatives = placed[:, actual], placed[:, ~actual]
    return of_positives.mean(axis=1), _covariance(of_positives) + _covariance(of_negatives)


def _covariance(placements: Floats) -> Floats:
    """Of the mean placements [s, n]; NaN for n < 2."""
    n = placements.shape[1]
    away = placements - placements.mean(axis=1, keepdims=True)
    return away @ away.T / (n * (n - 1)) if n > 1 else np.full((len(away), len(away)), np.nan)


def _placements(actual: NDArray[np.bool_], score: Floats) -> Floats:
    """[n] of a positive the share of negatives below it, of a negative that of positives above it; ties half.

    One sort of all rows; the ranks inside the two outcomes that Sun and Xu subtract are not needed.
    """
    order = np.argsort(score)
    positive, ordered = actual[order], score[order]
    hits = np.cumsum(positive, dtype=np.intp)
    misses = np.arange(1, hits.size + 1) - hits
    m, n = max(int(hits[-1]), 1), max(int(misses[-1]), 1)
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if first.size == order.size:
        placed = np.where(positive, misses / n, 1 - hits / m)
    else:
        place, last = np.repeat(np.arange(first.size), np.diff(first, append=order.size)), _ends(first, order.size)
        below, above = _middles(misses, last) / n, 1 - _middles(hits, last) / m
        placed = np.where(positive, below[place], above[place])
    result = np.empty(order.size)
    result[order] = placed
    return result


def _ends(first: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    return np.append(first[1:], size) - 1


def _middles(cumulated: NDArray[np.intp], last: NDArray[np.intp]) -> Floats:
    """Of runs of ties: the count below and half of that inside."""
    upto = cumulated[last]
    return (upto + np.concatenate(([0], upto[:-1]))) / 2


def average_precision(positive: NDArray[np.int64], negative: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Counts [..., bins] by rising score → average precision, its bound, its variance. NaN where an outcome is missing.

    p positives and q negatives in a bin, after a positives and b negatives above it, add to the sum at least
    Σ_{i≤p} (a+i)/(a+i+b+q) (the negatives first), at most p (a+p)/(a+p+b) (the positives first, tied). The value is the
    middle of the two orders without ties.
    """
    pos, neg = positive[..., ::-1].astype(np.float64), negative[..., ::-1].astype(np.float64)  # by falling score
    m, n = pos.sum(axis=-1), neg.sum(axis=-1)
    tp, fp = np.cumsum(pos, axis=-1), np.cumsum(neg, axis=-1)
    first, last = _run(tp - pos, fp - neg, pos), _run(tp - pos, fp, pos)
    some = np.maximum(m, 1.0)
    tied = pos * tp / np.maximum(tp + fp - neg, 1.0)
    value = (first + last).sum(axis=-1) / 2 / some
    reach = np.maximum(tied.sum(axis=-1) / some - value, value - last.sum(axis=-1) / some)
    bound = reach + ROUNDING
    missing = (m == 0) | (n == 0)
    variance = _precision_variance(pos, neg, tp, fp, value[..., np.newaxis], some[..., np.newaxis])
    return np.where(missing, np.nan, value), np.where(missing, np.nan, bound), np.where(missing, np.nan, variance)


def _run(a: Floats, b: Floats, p: Floats) -> Floats:
    """Σ_{i=1..p} (a+i)/(a+i+b) = p − b (ψ(a+b+p+1) − ψ(a+b+1)), only where p > 0."""
    result = np.zeros_like(p)
    used = np.nonzero(p)
    a, b, p = a[used], b[used], p[used]
    terms = (a + 1) / (a + b + 1)  # the sum where p = 1, which is most bins of a small bucket
    more = np.flatnonzero(p > 1)
    terms[more] = p[more] - b[more] * _digamma_step((a + b)[more] + 1, p[more])
    result[used] = terms
    return result


def _digamma_step(x: Floats, p: Floats) -> Floats:
    """ψ(x + p) − ψ(x); above 32 by the difference of the asymptotic series, which loses no digits."""
    small = x < 32
    step = np.empty_like(x)
    step[small] = digamma(x[small] + p[small]) - digamma(x[small])
    x, p = x[~small], p[~small]
    y = x + p
    u, v = 1 / (x * x), 1 / (y * y)
    series = (v - u) / 12 - (v * v - u * u) / 120 + (v**3 - u**3) / 252
    step[~small] = np.log1p(p / x) + p / (2 * x * y) - series
    return step


def _precision_variance(pos: Floats, neg: Floats, tp: Floats, fp: Floats, value: Floats, m: Floats) -> Floats:
    """Σ ψ² over rows, ψ the influence of one row on Σ P_k TP_k/(TP_k + FP_k) / m."""
    rows = np.maximum(tp + fp, 1.0)
    weight = pos / rows**2
    lower_fp = np.cumsum((weight * fp)[..., ::-1], axis=-1)[..., ::-1]  # thresholds at or below this bin
    lower_tp = np.cumsum((weight * tp)[..., ::-1], axis=-1)[..., ::-1]
    of_positive, of_negative = (tp / rows - value + lower_fp) / m, lower_tp / m
    return np.asarray((pos * of_positive**2 + neg * of_negative**2).sum(axis=-1))


def _area_estimates(tally: Tally, ranks: Ranks, smooth: Smooth, level: float) -> Estimates:
    usable = ranks.usable
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = newcombe(ranks.area, ranks.positives, ranks.negatives, level)
    other_low, other_high = delong_interval(ranks, level)
    low, high = _macro(np.fmin(low, other_low), usable), _macro(np.fmax(high, other_high), usable)
    both = (~np.isnan(other_low) & usable).any(axis=1)
    rarer = np.where(usable, np.minimum(ranks.positives, ranks.negatives), np.inf).min(axis=1)
    bound = np.zeros(1) if smooth.bound is None else smooth.bound
    return Estimates(
        value=smooth.value,
        low=np.maximum(low - bound, 0.0),
        high=np.minimum(high + bound, 1.0),
        n=tally.scored,
        n_eff=np.where(np.isfinite(rarer), rarer, 0.0),
        method=tuple(np.where(both, "newcombe-5 and logit delong, widened by the bound", "newcombe-5").tolist()),
        bound=smooth.bound,
        level=level,
        note=smooth.note,
        assumption=IID if tally.score_classes == 1 else f"{IID}; {AVERAGED}",
    )


def _histograms(tally: Tally) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positives and negatives [p, c, bins] of consecutive slices of points."""
    starts = range(0, tally.points, POINTS_AT_ONCE)
    slices = (tally.class_scores(start, min(start + POINTS_AT_ONCE, tally.points)) for start in starts)
    return [(part[:, :, 1], part[:, :, 0]) for part in slices]


def _joined(parts: list[Ranks], classes: int) -> Ranks:
    return Ranks(*(_stack([getattr(part, field.name) for part in parts], classes) for field in fields(Ranks)))


def _stack(parts: list[Floats], classes: int) -> Floats:
    return np.concatenate(parts) if parts else np.empty((0, classes))


def _macro(values: Floats, usable: NDArray[np.bool_]) -> Floats:
    """Mean over the usable classes; NaN where there is none."""
    count = usable.sum(axis=1)
    total = np.where(usable, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _note(tally: Tally, value: Floats) -> str:
    return notes(
        unlabelled(tally.scored, "no labelled rows with scores"),
        counted((tally.scored > 0) & np.isnan(value), ONE_OUTCOME),
    )
