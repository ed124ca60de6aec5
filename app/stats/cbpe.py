"""Performance without labels, from scores alone (confidence-based performance estimation; NannyML's CBPE).

From score histograms, so a year of hourly rollups costs what one hour does. The estimate carries three uncertainties:
of the reference's labels (calibration), of the scores drawn, and, for what labels will show, of the outcomes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from app.stats.codes import SCORE_BINS, score_bin
from app.stats.intervals import Interval, Validity, wilson, z_of
from app.stats.recalibration import MIDDLES, Recalibration
from app.stats.tested import interval

Floats = NDArray[np.float64]

FEWEST_LABELS, ENOUGH_LABELS = 100, 1_000  # below: withheld; warned of (sd of the calibrator .022 at 200)
UNCHANGED = "P(outcome | score) is as in the reference; concept drift cannot be seen"
FEW = f"fewer than {ENOUGH_LABELS} labels to calibrate with"
NONE = f"fewer than {FEWEST_LABELS} labels to calibrate with, or no scores"
METHOD = "cbpe"


@dataclass(frozen=True, slots=True)
class LabelFree:
    """Of P sets of scores. `low`, `high`: of the expected performance; `seen_low`, `seen_high`: where the realised one
    of these same rows will lie. NaN where withheld. Never a reason to promote: `assumption`.
    """

    metric: str
    value: Floats
    low: Floats
    high: Floats
    seen_low: Floats
    seen_high: Floats
    n: NDArray[np.int64]
    labels: int
    level: float
    note: str
    method: str = METHOD
    assumption: str = UNCHANGED
    may_promote: bool = False
    validity: Validity = "fixed-n"

    def at(self, point: int) -> Interval:
        """One of them, of the expected performance; n_eff: the labels it rests on."""
        assumption = "; ".join(filter(None, (self.assumption, self.note)))
        return interval(
            self.value[point],
            self.low[point],
            self.high[point],
            self.method,
            int(self.n[point]),
            assumption,
            level=self.level,
            n_eff=min(self.labels, int(self.n[point])),
        )


@dataclass(frozen=True, slots=True)
class _Slope:
    """A metric of the expected positives and negatives by bin, and its slopes in them [P, 1024]."""

    value: Floats
    positive: Floats
    negative: Floats


@dataclass(frozen=True, slots=True)
class _Expected:
    """Shares of rows by bin [P, 1024]: expected positives, negatives; which bins are predicted positive."""

    positive: Floats
    negative: Floats
    above: NDArray[np.bool_]


def cbpe(
    recalibration: Recalibration,
    counts: ArrayLike,
    metric: str = "accuracy",
    *,
    threshold: float = 0.5,
    level: float = 0.95,
) -> LabelFree:
    """`counts` [P, 1024] or [1024] of scores by bin, P(positive), not labelled (Family.SCORE).

    Metrics: see `METRICS`. Rows in the bin that the threshold cuts count by the bin's middle (at ½ the edge is exact).

    >>> random = np.random.default_rng(0)
    >>> p = random.random(20_000)
    >>> known = Recalibration.of_rows(p, random.random(20_000) < p)
    >>> found = cbpe(known, count_scores(p)).at(0)
    >>> round(found.value, 2), found.low < 0.75 < found.high
    (0.75, True)
    """
    if metric not in METRICS:
        raise ValueError(f"metric: {metric!r} is not one of {', '.join(METRICS)}")
    rows = np.atleast_2d(np.asarray(counts, np.float64))
    n = rows.sum(axis=-1)
    weight = rows / np.maximum(n, 1.0)[:, np.newaxis]
    chance = recalibration.chance
    expected = _Expected(weight * chance, weight * (1 - chance), threshold <= MIDDLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = METRICS[metric](expected)
        calibration, drawn, outcomes = _variances(recalibration, weight, slope, n)
    known = (n > 0) & (recalibration.labels >= FEWEST_LABELS)
    bounded = metric != "log_loss"
    low, high = _ends(slope.value, calibration + drawn, known, level, bounded=bounded)
    seen_low, seen_high = _ends(slope.value, calibration + outcomes, known, level, bounded=bounded)
    few = recalibration.labels < ENOUGH_LABELS
    return LabelFree(
        metric=metric,
        value=np.where(known, slope.value, np.nan),
        low=low,
        high=high,
        seen_low=seen_low,
        seen_high=seen_high,
        n=n.astype(np.int64),
        labels=recalibration.labels,
        level=level,
        note=NONE if not known.any() else FEW if few else "",
    )


def count_scores(score: ArrayLike) -> NDArray[np.int64]:
    """[1024] raw scores in [0, 1] by bin.

    >>> int(count_scores([0.2, 0.2, 0.9]).max())
    2
    """
    return np.bincount(score_bin(np.asarray(score, np.float64)), minlength=SCORE_BINS).astype(np.int64)


def top_class(recalibration: Recalibration, counts: ArrayLike, *, level: float = 0.95) -> LabelFree:
    """Accuracy of a multiclass model from its top class's probabilities; a hit is a right top class.

    >>> known = Recalibration.of_rows(np.full(2000, 0.8), np.arange(2000) % 10 < 7)
    >>> round(float(top_class(known, count_scores(np.full(500, 0.8))).value[0]), 6)
    0.7
    """
    return cbpe(recalibration, counts, "accuracy", threshold=0.0, level=level)


def _variances(known: Recalibration, weight: Floats, slope: _Slope, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Of the estimate through the calibration and the scores drawn; of the realised metric through the outcomes."""
    some, chance = np.maximum(n, 1.0), known.chance
    apart = slope.positive - slope.negative
    per_bin = weight * apart * known.response
    starts = np.flatnonzero(np.concatenate(([True], known.group[1:] != known.group[:-1])))
    per_group = np.add.reduceat(per_bin, starts, axis=-1)
    calibration = per_group**2 @ known.variance
    influence = chance * slope.positive + (1 - chance) * slope.negative
    mean = (weight * influence).sum(axis=-1, keepdims=True)
    drawn = (weight * (influence - mean) ** 2).sum(axis=-1) / some
    outcomes = (weight * apart**2) @ (chance * (1 - chance)) / some
    return calibration, drawn, outcomes


def _ends(
    value: Floats, variance: Floats, known: NDArray[np.bool_], level: float, *, bounded: bool
) -> tuple[Floats, Floats]:
    """Wilson's with the n that would have this variance; for a loss without upper end plain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if bounded:
            inside = np.clip(value, 0.0, 1.0)
            # a rate of 0 or 1 has no variance left to read n from: that of half a row stands in
            spread = np.maximum(inside * (1 - inside), 1e-9)
            size = np.where(variance > 0, spread / np.maximum(variance, 1e-300), 1e12)
            low, high = wilson(inside * size, size, level)
        else:
            half = z_of(level) * np.sqrt(variance)
            low, high = np.maximum(value - half, 0.0), value + half
    usable = known & np.isfinite(value)
    return np.where(usable, low, np.nan), np.where(usable, high, np.nan)


def _of_confusion(
    gradient: Callable[[Floats, Floats, Floats, Floats], tuple[Floats, ...]],
) -> Callable[[_Expected], _Slope]:
    """`gradient` gives the value and its slopes in tp, fp, fn, tn, each [P]."""

    def read(expected: _Expected) -> _Slope:
        above = expected.above
        tp, fp = expected.positive[:, above].sum(axis=-1), expected.negative[:, above].sum(axis=-1)
        fn, tn = expected.positive[:, ~above].sum(axis=-1), expected.negative[:, ~above].sum(axis=-1)
        value, *slopes = gradient(tp, fp, fn, tn)
        d_tp, d_fp, d_fn, d_tn = (np.broadcast_to(slope, value.shape)[:, np.newaxis] for slope in slopes)
        return _Slope(value, np.where(above, d_tp, d_fn), np.where(above, d_fp, d_tn))

    return read


def _accuracy(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> tuple[Floats, ...]:
    one, zero = np.ones_like(tp), np.zeros_like(tp)
    return tp + tn, one, zero, zero, one


def _share(right: Floats, wrong: Floats) -> tuple[Floats, Floats, Floats]:
    """right / (right + wrong) and its slopes."""
    total = right + wrong
    return right / total, wrong / total**2, -right / total**2


def _precision(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> tuple[Floats, ...]:
    value, right, wrong = _share(tp, fp)
    return value, right, wrong, np.zeros_like(fn), np.zeros_like(tn)


def _recall(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> tuple[Floats, ...]:
    value, right, wrong = _share(tp, fn)
    return value, right, np.zeros_like(fp), wrong, np.zeros_like(tn)


def _specificity(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> tuple[Floats, ...]:
    value, right, wrong = _share(tn, fp)
    return value, np.zeros_like(tp), wrong, np.zeros_like(fn), right


def _f1(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> tuple[Floats, ...]:
    total = 2 * tp + fp + fn
    value = 2 * tp / total
    off = -value / total
    return value, 2 * (1 - value) / total, off, off, np.zeros_like(tn)


def _roc_auc(expected: _Expected) -> _Slope:
    pos, neg = expected.positive, expected.negative
    p, q = pos.sum(axis=-1, keepdims=True), neg.sum(axis=-1, keepdims=True)
    below = np.cumsum(neg, axis=-1) - neg / 2
    above = p - np.cumsum(pos, axis=-1) + pos / 2
    value = (pos * below).sum(axis=-1, keepdims=True) / (p * q)
    return _Slope(value[:, 0], below / (p * q) - value / p, above / (p * q) - value / q)


def _brier(expected: _Expected) -> _Slope:
    return _loss(expected, (1 - MIDDLES) ** 2, MIDDLES**2)


def _log_loss(expected: _Expected) -> _Slope:
    return _loss(expected, -np.log(MIDDLES), -xlogy(1.0, 1 - MIDDLES))


def _loss(expected: _Expected, of_positive: Floats, of_negative: Floats) -> _Slope:
    value = expected.positive @ of_positive + expected.negative @ of_negative
    return _Slope(value, of_positive[np.newaxis], of_negative[np.newaxis])


METRICS: Mapping[str, Callable[[_Expected], _Slope]] = MappingProxyType(
    {
        "accuracy": _of_confusion(_accuracy),
        "precision": _of_confusion(_precision),
        "recall": _of_confusion(_recall),
        "specificity": _of_confusion(_specificity),
        "f1": _of_confusion(_f1),
        "roc_auc": _roc_auc,
        "brier": _brier,
        "log_loss": _log_loss,
    }
)
