"""Metrics of classes: from confusion counts, and from sums of losses. Definitions and edge cases as scikit-learn's.

Multiclass precision, recall, specificity and F1 are macro averages over the classes that occur, as actual or as
predicted, at that point (scikit-learn's default labels). A ratio without a denominator is 0 (zero_division=0); no row
at all is NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import Task
from app.stats.counting import BRIER, BRIER_2, LOG_LOSS, LOG_LOSS_2
from app.stats.doubledouble import DD
from app.stats.evidence import (
    FISHER_Z,
    LOGIT,
    PLAIN,
    Axis,
    Evidence,
    MeanOfProportions,
    Proportion,
    Smooth,
    counted,
    notes,
    unlabelled,
)
from app.stats.fixedpoint import LOSS_BITS
from app.stats.registry import BOTH, metric
from app.stats.skewed import PositiveMean
from app.stats.tally import Tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NO_PREDICTED = "a class that was never predicted has precision 0 by convention"
NO_ACTUAL = "a class that never happened has recall 0 by convention"
NO_OTHER = "only one class happened: specificity 0 by convention"
NO_CASE = "no positive, actual or predicted: 0 by convention"
ONE_CLASS = "only one class, actual or predicted: 0 by convention"
FEW_LOSSES = "fewer than 1,000 rows: the t-interval of a skewed loss may cover less than it says"


@dataclass(frozen=True, slots=True)
class Cells:
    """A binary confusion matrix at P points."""

    tp: Ints
    fp: Ints
    fn: Ints
    tn: Ints


def cells(tally: Tally) -> Cells:
    """
    >>> from app.stats.tally import Shape, Sparse
    >>> cells(Tally.of(Shape(Task.BINARY, 2), 1, Sparse.empty())).tp.tolist()
    [0]
    """
    counts, positive = tally.confusion, tally.shape.positive
    tp = counts[:, positive, positive]
    fp, fn = counts[:, :, positive].sum(axis=1) - tp, counts[:, positive, :].sum(axis=1) - tp
    return Cells(tp, fp, fn, tally.labelled - tp - fp - fn)


@metric(tasks=BOTH, meaning="Share of labelled predictions whose class was right.")
def accuracy(tally: Tally) -> Evidence:
    return Proportion(_hits(tally).sum(axis=1), tally.labelled, tally.labelled)


@metric(tasks=BOTH, meaning="Mean over the classes that happened of the share found (recall).")
def balanced_accuracy(tally: Tally) -> Evidence:
    """A class that never happened is left out, as in scikit-learn."""
    actual = tally.confusion.sum(axis=2)
    return MeanOfProportions(_hits(tally), actual, actual > 0, tally.labelled, NO_ACTUAL)


@metric(tasks=BOTH, meaning="Share of predicted positives that were positive; multiclass: macro.")
def precision(tally: Tally) -> Evidence:
    if tally.shape.task is Task.BINARY:
        c = cells(tally)
        return Proportion(c.tp, c.tp + c.fp, tally.labelled, "no predicted positive: 0 by convention")
    return MeanOfProportions(
        _hits(tally), tally.confusion.sum(axis=1), _present(tally.confusion), tally.labelled, NO_PREDICTED
    )


@metric(tasks=BOTH, meaning="Share of positives that were found; multiclass: macro.")
def recall(tally: Tally) -> Evidence:
    if tally.shape.task is Task.BINARY:
        c = cells(tally)
        return Proportion(c.tp, c.tp + c.fn, tally.labelled, "no positive: 0 by convention")
    return MeanOfProportions(
        _hits(tally), tally.confusion.sum(axis=2), _present(tally.confusion), tally.labelled, NO_ACTUAL
    )


@metric(tasks=BOTH, meaning="Share of negatives that were left alone; multiclass: macro, one against the rest.")
def specificity(tally: Tally) -> Evidence:
    if tally.shape.task is Task.BINARY:
        c = cells(tally)
        return Proportion(c.tn, c.tn + c.fp, tally.labelled, "no negative: 0 by convention")
    return _of_counts(tally, _specificity, LOGIT, (0.0, 1.0), NO_OTHER)


@metric(tasks=BOTH, meaning="Harmonic mean of precision and recall; multiclass: macro.")
def f1(tally: Tally) -> Evidence:
    """2J/(1 + J) of J = tp/(tp + fp + fn), a proportion given its denominator, so its exact interval carries over.

    >>> from app.stats.intervals import wilson
    >>> low, high = wilson(90, 140)
    >>> round(float(2 * low / (1 + low)), 6), round(float(2 * high / (1 + high)), 6)
    (0.718479, 0.835475)
    """
    if tally.shape.task is Task.MULTICLASS:
        return f1_macro(tally)
    c = cells(tally)
    return Proportion(c.tp, c.tp + c.fp + c.fn, tally.labelled, NO_CASE, shown=lambda j: 2 * j / (1 + j))


@metric(tasks=BOTH, meaning="Mean of the F1 of each class that occurs.")
def f1_macro(tally: Tally) -> Evidence:
    return _of_counts(tally, _f1_macro, LOGIT, (0.0, 1.0), "")


@metric(tasks=BOTH, meaning="Mean of the classes' F1, each as often as the class happened.")
def f1_weighted(tally: Tally) -> Evidence:
    return _of_counts(tally, _f1_weighted, LOGIT, (0.0, 1.0), "")


@metric(tasks=BOTH, meaning="Matthews correlation of actual and predicted class.")
def mcc(tally: Tally) -> Evidence:
    return _of_counts(tally, _mcc, FISHER_Z, (-1.0, 1.0), ONE_CLASS)


@metric(tasks=BOTH, meaning="Cohen's agreement of actual and predicted class beyond chance.")
def kappa(tally: Tally) -> Evidence:
    """Undefined where all rows are of one class and predicted so, as in scikit-learn."""
    return _of_counts(tally, _kappa, FISHER_Z, (-1.0, 1.0), "")


@metric(
    tasks=BOTH, direction="lower", needs_scores=True, meaning="Mean −log of the probability given to what happened."
)
def log_loss(tally: Tally) -> Evidence:
    """Probabilities are clipped at float64's eps, as scikit-learn does."""
    return _loss(tally, LOG_LOSS, LOG_LOSS_2, 36.05)


@metric(tasks=BOTH, direction="lower", needs_scores=True, meaning="Mean squared distance of probability and outcome.")
def brier(tally: Tally) -> Evidence:
    """(p − y)²; multiclass: summed over the classes, so up to 2, as scikit-learn's default."""
    return _loss(tally, BRIER, BRIER_2, 1.0 if tally.shape.task is Task.BINARY else 2.0)


def _loss(tally: Tally, name: int, squares: int, top: float) -> PositiveMean:
    n = tally.scored
    mean, variance = moments(tally.sum(name), tally.sum(squares).times(LOSS_BITS), n)
    smooth = Smooth(
        value=np.ldexp(mean, -LOSS_BITS),
        variance=np.ldexp(variance, -2 * LOSS_BITS),
        rows=n,
        axis=PLAIN,
        method="t",
        limits=(0.0, top),
        student=True,
        note=notes(unlabelled(n, "no labelled rows with scores"), counted((n > 0) & (n < 1000), FEW_LOSSES)),
    )
    return PositiveMean(smooth, top)


def moments(total: DD, squares: DD, n: Ints) -> tuple[Floats, Floats]:
    """Mean and variance (n − 1 below; NaN for n < 2) from Σx and Σx² in the unit and its square.

    >>> sums = (DD.of(np.array([total])) for total in (6, 14))
    >>> [part.tolist() for part in moments(*sums, np.array([3]))]
    [[2.0], [1.0]]
    """
    some = np.maximum(n, 1)
    mean = np.where(n > 0, total.value() / some, np.nan)
    spread = (squares * DD.of(some) - total * total).value() / some
    return mean, np.where(n > 1, np.maximum(spread, 0.0) / np.maximum(n - 1, 1), np.nan)


@dataclass(frozen=True, slots=True)
class _Delta:
    """A function g of the shares p of a confusion matrix, with ∂g/∂p_ij = row_i + column_j + [i = j] same_i."""

    value: Floats
    row: Floats
    column: Floats
    same: Floats


def _of_counts(
    tally: Tally, of: Callable[[Floats], _Delta], axis: Axis, limits: tuple[float, float], empty: str
) -> Smooth:
    """The multinomial delta method on `axis`.

    Where the counts have no variance (a perfect point), it is taken, with the centre, at counts with 1/k added to each
    cell of the k classes that occur: the interval then reaches from there to the value.
    """
    counts, n = tally.confusion.astype(np.float64), tally.labelled
    delta = of(counts)
    value = np.where(n > 0, delta.value, np.nan)
    variance = _variance(counts, delta, axis, value)
    center = value
    flat = np.flatnonzero((n > 0) & ~(variance > 0))
    if flat.size:
        present = _present(tally.confusion[flat])
        cells_of = present[:, :, np.newaxis] & present[:, np.newaxis, :]
        filled = counts[flat] + cells_of / present.sum(axis=1)[:, np.newaxis, np.newaxis]
        smoothed = of(filled)
        center = value.copy()
        center[flat] = smoothed.value
        variance[flat] = _variance(filled, smoothed, axis, smoothed.value)
    unknown = (n > 0) & np.isnan(value)
    return Smooth(
        value=value,
        variance=np.where(variance > 0, variance, np.nan),
        rows=n,
        axis=axis,
        method="delta",
        limits=limits,
        center=center,
        note=notes(
            unlabelled(n),
            counted(unknown, "undefined, all rows are of one class and predicted so"),
            counted((n > 0) & (_classes(tally) < 2) & ~unknown, empty),
        ),
    )


def _variance(counts: Floats, delta: _Delta, axis: Axis, value: Floats) -> Floats:
    """Of one row, on the axis: Var g = Σ p G² − (Σ p G)², times the axis's slope squared. NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p = counts / counts.sum(axis=(1, 2))[:, np.newaxis, np.newaxis]
        t, s, hit = p.sum(axis=2), p.sum(axis=1), np.diagonal(p, axis1=1, axis2=2)
        row, column, same = delta.row, delta.column, delta.same
        crossed = (np.matmul(p, column[..., np.newaxis])[..., 0] * row).sum(axis=1)
        mean = (t * row + s * column + hit * same).sum(axis=1)
        square = (t * row**2 + s * column**2 + hit * same * (same + 2 * (row + column))).sum(axis=1) + 2 * crossed
        slope = 1 / (1 - value**2) if axis is FISHER_Z else 1 / (value * (1 - value))
        variance = (square - mean**2) * slope**2
    # rounding of a difference of equals is not a variance
    return np.where(np.isfinite(variance) & (variance > 1e-13), variance, np.nan)


def _shares(counts: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Shares by actual t, by predicted s, hit; and the number of classes that occur [P, 1]."""
    n = np.maximum(counts.sum(axis=(1, 2)), 1e-300)[:, np.newaxis]
    t, s = counts.sum(axis=2) / n, counts.sum(axis=1) / n
    return t, s, np.diagonal(counts, axis1=1, axis2=2) / n, np.maximum((t + s > 0).sum(axis=1, keepdims=True), 1)


def _f1_macro(counts: Floats) -> _Delta:
    t, s, hit, k = _shares(counts)
    both = np.where(t + s > 0, t + s, 1.0)
    f = 2 * hit / both
    slope = -f / both / k
    return _Delta((f / k).sum(axis=1), slope, slope, np.where(t + s > 0, 2 / both / k, 0.0))


def _f1_weighted(counts: Floats) -> _Delta:
    """Σ t F, F = 2 hit / (t + s)."""
    t, s, hit, _ = _shares(counts)
    both = np.where(t + s > 0, t + s, 1.0)
    f = 2 * hit / both
    return _Delta((t * f).sum(axis=1), f * s / both, -f * t / both, 2 * t / both)


def _specificity(counts: Floats) -> _Delta:
    t, s, hit, k = _shares(counts)
    used = (t + s > 0) & (1 - t > 1e-12)
    rest = np.where(used, 1 - t, 1.0)
    spec = np.where(used, (1 - t - s + hit) / rest, 0.0)
    u = np.where(used, 1 / rest / k, 0.0)
    return _Delta((spec / k).sum(axis=1), u * (spec - 1), -u, u)


def _mcc(counts: Floats) -> _Delta:
    """Gorodkin 2004: (c − Σ t s)/√((1 − Σ t²)(1 − Σ s²)); 0 where a factor is 0."""
    t, s, hit, _ = _shares(counts)
    one, two = 1 - (t**2).sum(axis=1, keepdims=True), 1 - (s**2).sum(axis=1, keepdims=True)
    defined = (one > 1e-13) & (two > 1e-13)
    one, two = np.where(defined, one, 1.0), np.where(defined, two, 1.0)
    root = np.sqrt(one * two)
    value = np.where(defined, (hit.sum(axis=1, keepdims=True) - (t * s).sum(axis=1, keepdims=True)) / root, 0.0)
    row, column = -s / root + value * t / one, -t / root + value * s / two
    same = np.broadcast_to(1 / root, t.shape)
    return _Delta(value[:, 0], defined * row, defined * column, defined * same)


def _kappa(counts: Floats) -> _Delta:
    t, s, hit, _ = _shares(counts)
    seen, chance = hit.sum(axis=1, keepdims=True), (t * s).sum(axis=1, keepdims=True)
    defined = 1 - chance > 1e-13
    rest = np.where(defined, 1 - chance, 1.0)
    value = np.where(defined, (seen - chance) / rest, np.nan)
    slope = (1 - seen) / rest**2
    return _Delta(value[:, 0], -s * slope, -t * slope, np.broadcast_to(1 / rest, t.shape))


def _hits(tally: Tally) -> Ints:
    """[P, k] right predictions by class."""
    return np.diagonal(tally.confusion, axis1=1, axis2=2)


def _present(counts: Ints) -> NDArray[np.bool_]:
    """[P, k] classes that occur, as actual or as predicted."""
    return np.asarray((counts.sum(axis=1) > 0) | (counts.sum(axis=2) > 0))


def _classes(tally: Tally) -> Ints:
    """How many classes happened, or were predicted if fewer."""
    counts = tally.confusion
    return np.asarray(np.minimum((counts.sum(axis=1) > 0).sum(axis=1), (counts.sum(axis=2) > 0).sum(axis=1)))
