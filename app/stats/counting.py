"""Rows → sparse integers. The only place where rows are looked at; everything after adds."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import (
    CALIBRATION_BINS,
    CALIBRATION_OF_SCORE,
    CALIBRATION_SLOTS,
    DELAY_BINS,
    SCORE_BINS,
    SUM_LIMBS,
    SUMS,
    Family,
    Task,
    delay_bin,
    pair,
    score_bin,
)
from app.stats.fixedpoint import (
    CALIBRATION_BITS,
    FOURTH_BITS,
    LOSS_BITS,
    RATIO_BITS,
    STEP,
    UNIT,
    exact_square,
    limbs,
    log,
    slots,
)
from app.stats.planes import CHUNK, Cells, Floats, Ints, Marks, Plane, Totals, count, total
from app.stats.sparse import Sparse, merge

LOG_LOSS, LOG_LOSS_2, BRIER, BRIER_2 = range(4)
ERROR, ABS, ERROR_2, ERROR_4, Y, Y_2, RATIO, RATIO_2, Y_3, Y_4, ERROR_2_Y, ERROR_2_Y_2 = range(12)
POWERS = (1, 1, 2, 4, 1, 2, 0, 0, 3, 4, 3, 4)  # of the unit, by sum of a regression

_EPS = float(np.finfo(np.float64).eps)  # where scikit-learn's log_loss clips
_LOSS_CODES = (np.arange(4)[:, np.newaxis] * SUM_LIMBS + np.arange(2)).ravel()
_LOSS_UNITS = np.array([[-1.0], [1.0], [1.0], [1.0]]) * 2.0**LOSS_BITS  # the logarithm is negative, its square is not


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's statistics look like.

    `positive` is the positive class's index (binary only).
    """

    task: Task
    classes: int
    positive: int = 1


def count_predictions(
    shape: Shape,
    cell: Cells,
    cells: int,
    *,
    predicted: NDArray[np.integer],
    score: Floats,
    scores: Floats | None = None,
) -> Sparse:
    """Statistics of predictions: N, PREDICTED, SCORE.

    `cell[n]` in [0, cells); `predicted[n]` class index (ignored for regression); `score[n]` P(positive), NaN where
    there is none (binary), the predicted value (regression), ignored for multiclass; `scores[n, k]` class
    probabilities, a row of NaN where there are none (multiclass).

    >>> counted = count_predictions(
    ...     Shape(Task.BINARY, 2), np.zeros(2, np.intp), 1, predicted=np.array([1, 1]), score=np.array([0.7, np.nan])
    ... )
    >>> counted.amount.tolist()
    [2, 2, 1]
    """
    if cell.size > CHUNK:
        return merge(
            [
                count_predictions(
                    shape, cell[rows], cells, predicted=predicted[rows], score=score[rows], scores=_rows(scores, rows)
                )
                for rows in _chunks(cell.size)
            ]
        )
    planes: list[Plane] = [total(Family.N, cell)]
    if shape.task is not Task.REGRESSION:
        planes.append(Marks(Family.PREDICTED, _width(shape, predicted), cell, predicted.astype(np.int64)))
        top = score if shape.task is Task.BINARY else scores.max(axis=1) if scores is not None else score[:0]
        kept, top = _scored(top)
        planes.append(Marks(Family.SCORE, SCORE_BINS, _take(cell, kept), score_bin(top)))
    return count(cells, planes)


def count_labels(
    shape: Shape,
    cell: Cells,
    cells: int,
    *,
    actual: Floats,
    predicted: NDArray[np.integer],
    score: Floats,
    scores: Floats | None = None,
    delay_us: NDArray[np.int64],
) -> Sparse:
    """Statistics of labelled predictions, all families but N, PREDICTED and SCORE.

    As `count_predictions`, with `actual[n]`: the class index, or the value (regression; neither it nor the predicted
    value may be `outside`), and `delay_us[n]`: from prediction to label.

    >>> counted = count_labels(
    ...     Shape(Task.BINARY, 2), np.zeros(1, np.intp), 1, actual=np.array([1.0]), predicted=np.array([1]),
    ...     score=np.array([np.nan]), delay_us=np.array([5_000_000]),
    ... )
    >>> [(int(c) >> 24, int(c) & 0xFFFFFF, int(a)) for c, a in zip(counted.code, counted.amount)]
    [(1, 0, 1), (3, 2, 1), (6, 10, 1)]
    """
    if cell.size > CHUNK:
        return merge(
            [
                count_labels(
                    shape,
                    cell[rows],
                    cells,
                    actual=actual[rows],
                    predicted=predicted[rows],
                    score=score[rows],
                    scores=_rows(scores, rows),
                    delay_us=delay_us[rows],
                )
                for rows in _chunks(cell.size)
            ]
        )
    planes: list[Plane] = [
        total(Family.LABELLED, cell),
        Marks(Family.DELAY, DELAY_BINS, cell, delay_bin(delay_us)),
    ]
    if shape.task is Task.REGRESSION:
        return count(cells, [*planes, *_regression(cell, actual, score)])
    truth = actual.astype(np.int64)
    width = _width(shape, truth, predicted)
    planes.append(Marks(Family.CONFUSION, width * width, cell, pair(truth, predicted.astype(np.int64))))
    if shape.task is Task.BINARY:
        kept, p = _scored(score)
        planes += _binary(_take(cell, kept), p, _take(truth, kept) == shape.positive)
    elif scores is not None:
        kept, _ = _scored(scores.max(axis=1))
        planes += _multiclass(_take(cell, kept), _take(scores, kept), _take(truth, kept))
    return count(cells, planes)


def _binary(cell: Cells, p: Floats, positive: NDArray[np.bool_]) -> list[Plane]:
    bins = score_bin(p)
    given = np.where(positive, p, 1.0 - p)  # probability given to what happened
    miss = 1.0 - given
    return [
        total(Family.SCORED, cell),
        Marks(Family.CLASS_SCORE, 2 * SCORE_BINS, cell, bins + SCORE_BINS * positive),
        _losses(cell, given, miss * miss),
        _claimed(cell, CALIBRATION_OF_SCORE[bins] * CALIBRATION_SLOTS, p),
    ]


def _multiclass(cell: Cells, scores: Floats, truth: Ints) -> list[Plane]:
    """Rows speak of the k classes they have scores for, whatever classes were added since: a truth beyond them got no
    probability, and the histograms of such a class leave the rows out."""
    n, k = scores.shape
    row = np.arange(n)
    foreseen = truth < k
    actual = np.zeros((n, k), np.bool_)
    actual[row[foreseen], truth[foreseen]] = True
    given = np.where(foreseen, scores[row, np.minimum(truth, k - 1)], 0.0)
    slots = (2 * np.arange(k) + actual) * SCORE_BINS + score_bin(scores.ravel()).reshape(n, k)
    top = scores.argmax(axis=1)
    peak = scores[row, top]
    slot = CALIBRATION_OF_SCORE[score_bin(peak)] * CALIBRATION_SLOTS
    hit = np.flatnonzero(top == truth)
    width = CALIBRATION_BINS * CALIBRATION_SLOTS
    return [
        total(Family.SCORED, cell),
        Marks(Family.CLASS_SCORE, 2 * k * SCORE_BINS, np.repeat(cell, k), slots.ravel()),
        _losses(cell, given, np.square(scores - actual).sum(axis=1) + ~foreseen),
        _claimed(cell, slot, peak),
        Marks(Family.CALIBRATION, width, cell[hit], slot[hit] + 1),
        Marks(Family.CALIBRATION, width, cell, slot + 2),
    ]


def _claimed(cell: Cells, slot: Ints, p: Floats) -> Marks:
    """Σp of each calibration bin; 2^-32 a row resolves the mean to 1.2e-10."""
    weight = np.rint(p * 2.0**CALIBRATION_BITS)
    return Marks(Family.CALIBRATION, CALIBRATION_BINS * CALIBRATION_SLOTS, cell, slot, weight)


def _losses(cell: Cells, given: Floats, brier: Floats) -> Totals:
    losses = np.empty((4, given.size))
    losses[LOG_LOSS] = log(np.clip(given, _EPS, 1.0 - _EPS))
    losses[BRIER] = brier
    np.square(losses[::2], out=losses[1::2])
    losses *= _LOSS_UNITS
    np.rint(losses, out=losses)
    limb = np.empty((8, given.size))
    np.trunc(losses * 2.0**-32, out=limb[1::2])
    np.subtract(losses, limb[1::2] * 2.0**32, out=limb[::2])
    return Totals(Family.SUM, SUMS * SUM_LIMBS, cell, _LOSS_CODES, limb)


def _regression(cell: Cells, actual: Floats, predicted: Floats) -> list[Plane]:
    """Each row in the unit that its own size asks for, so that no row's size is another's loss."""
    slot = slots(actual, predicted)
    unit = UNIT - STEP * slot
    error = np.rint(np.ldexp(predicted - actual, unit))
    y = np.rint(np.ldexp(actual, unit))
    square, rest = exact_square(y)
    error2 = error * error
    # an actual nearer to 0 than the resolution is 0: its ratio would be noise
    size = np.abs(np.ldexp(actual, unit))
    nonzero = np.flatnonzero(size > 1.0)
    ratio = np.zeros_like(error)
    ratio[nonzero] = np.abs(error[nonzero]) / size[nonzero]
    low = 2.0**-FOURTH_BITS
    values = {
        ERROR: error,
        ABS: np.abs(error),
        ERROR_2: error2,
        ERROR_4: error2 * low * error2,
        Y: y,
        Y_2: square,
        RATIO: ratio * 2.0**RATIO_BITS,
        RATIO_2: ratio * ratio * 2.0 ** (2 * RATIO_BITS),
        Y_3: y * square,
        Y_4: square * low * square,
        ERROR_2_Y: error2 * y,
        ERROR_2_Y_2: error2 * low * square,
    }
    names = np.array([*values])
    whole = np.rint(np.stack((*values.values(), rest)))
    width = (int(slot.max(initial=0)) + 1) * SUMS
    sums: list[Plane] = []
    for one in np.unique(slot).tolist():
        rows = np.flatnonzero(slot == one)
        for limb, part in limbs(whole if rows.size == slot.size else whole[:, rows]):
            part[Y_2] += part[-1]  # with the square's rounding error Σy² is exact
            index = (one * SUMS + names) * SUM_LIMBS + limb
            sums.append(Totals(Family.SUM, width * SUM_LIMBS, cell[rows], index, part[:-1]))
    return [total(Family.NONZERO, cell[nonzero]), *sums]


def _width(shape: Shape, *indexes: NDArray[np.integer]) -> int:
    """Classes to make room for: a class may be newer than the shape."""
    return max(shape.classes, *(int(index.max(initial=-1)) + 1 for index in indexes))


def _scored(top: Floats) -> tuple[Cells | None, Floats]:
    """Rows that carry a score (None = all) and their scores."""
    missing = np.isnan(top)
    if not missing.any():
        return None, top
    kept = np.flatnonzero(~missing)
    return kept, top[kept]


def _take(values: NDArray, rows: NDArray[np.intp] | None) -> NDArray:  # type: ignore[type-arg]
    return values if rows is None else values[rows]


def _rows(scores: Floats | None, rows: slice) -> Floats | None:
    return None if scores is None else scores[rows]


def _chunks(n: int) -> Iterable[slice]:
    return (slice(start, start + CHUNK) for start in range(0, n, CHUNK))
