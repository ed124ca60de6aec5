"""Rows → sparse integers. The only place where rows are looked at; everything after adds.

A *plane* is one thing counted of some rows: at which index of which family each row counts, and how much. Planes are
counted in one dense `bincount` where cells × codes is small, by sorting where it is not; both give the same Sparse.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import (
    CALIBRATION_BINS,
    CALIBRATION_OF_SCORE,
    DELAY_BINS,
    FAMILY_SHIFT,
    SCORE_BINS,
    SUM_LIMBS,
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
    Scale,
    exact_square,
    limbs,
    log,
    to_units,
)
from app.stats.sparse import Sparse, consolidate, keys, merge, run_starts

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHUNK = 1 << 20  # rows counted at once: float64 sums of 32-bit limbs stay exact below 2^21 rows
_DENSE = 16384  # grid positions that cost less than a sort, whatever the rows
_EPS = float(np.finfo(np.float64).eps)  # where scikit-learn's log_loss clips

LOG_LOSS, LOG_LOSS_2, BRIER, BRIER_2 = range(4)
ERROR, ABS, ERROR_2, ERROR_4, Y, Y_2, RATIO, RATIO_2, Y_3, Y_4, ERROR_2_Y, ERROR_2_Y_2 = range(12)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's statistics look like.

    `positive` is the positive class's index (binary only); `scale` is for regression only.
    """

    task: Task
    classes: int
    scale: Scale | None = None
    positive: int = 1

    def __post_init__(self) -> None:
        if self.task is Task.REGRESSION and self.scale is None:
            raise ValueError("scale: a regression needs one, see Scale.fit")


@dataclass(frozen=True, slots=True)
class _Plane:
    family: Family
    width: int
    cell: NDArray[np.intp]
    index: NDArray[np.int64] | int
    weight: NDArray[np.float64] | None = None  # whole numbers below 2^33; None counts rows


def count_predictions(
    shape: Shape,
    cell: NDArray[np.intp],
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
    planes = [_Plane(Family.N, 1, cell, 0)]
    if shape.task is not Task.REGRESSION:
        planes.append(_Plane(Family.PREDICTED, _width(shape, predicted), cell, predicted.astype(np.int64)))
        top = score if shape.task is Task.BINARY else scores.max(axis=1) if scores is not None else score[:0]
        kept, top = _scored(top)
        planes.append(_Plane(Family.SCORE, SCORE_BINS, _take(cell, kept), score_bin(top)))
    return _count(cells, planes)


def count_labels(
    shape: Shape,
    cell: NDArray[np.intp],
    cells: int,
    *,
    actual: Floats,
    predicted: NDArray[np.integer],
    score: Floats,
    scores: Floats | None = None,
    delay_us: NDArray[np.int64],
) -> Sparse:
    """Statistics of labelled predictions, all families but N, PREDICTED and SCORE.

    As `count_predictions`, with `actual[n]`: the class index, or the value (regression; both it and the predicted value
    must be inside `shape.scale`, see `outside`), and `delay_us[n]`: from prediction to label.

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
    planes = [_Plane(Family.LABELLED, 1, cell, 0), _Plane(Family.DELAY, DELAY_BINS, cell, delay_bin(delay_us))]
    if shape.task is Task.REGRESSION:
        assert shape.scale is not None  # noqa: S101  (Shape's own promise, for the type checker)
        planes += _regression(shape.scale, cell, actual, score)
        return _count(cells, planes)
    truth = actual.astype(np.int64)
    width = _width(shape, truth, predicted)
    planes.append(_Plane(Family.CONFUSION, width * width, cell, pair(truth, predicted.astype(np.int64))))
    if shape.task is Task.BINARY:
        kept, p = _scored(score)
        planes += _binary(_take(cell, kept), p, _take(truth, kept) == shape.positive)
    elif scores is not None:
        kept, _ = _scored(scores.max(axis=1))
        planes += _multiclass(_take(cell, kept), _take(scores, kept), _take(truth, kept), shape.classes)
    return _count(cells, planes)


def _binary(cell: NDArray[np.intp], p: Floats, positive: NDArray[np.bool_]) -> list[_Plane]:
    bins = score_bin(p)
    given = np.where(positive, p, 1.0 - p)  # probability given to what happened
    miss = 1.0 - given
    return [
        _Plane(Family.SCORED, 1, cell, 0),
        _Plane(Family.CLASS_SCORE, 2 * SCORE_BINS, cell, bins + SCORE_BINS * positive),
        *_losses(cell, given, miss * miss),
        *_calibration(cell, bins, p, positive),
    ]


def _multiclass(cell: NDArray[np.intp], scores: Floats, truth: Ints, classes: int) -> list[_Plane]:
    classes = max(classes, int(truth.max(initial=-1)) + 1)
    if scores.shape[1] < classes:  # scored before a class was added: it got no probability
        scores = np.pad(scores, ((0, 0), (0, classes - scores.shape[1])))
    n, k = scores.shape
    row = np.arange(n)
    actual = np.zeros((n, k), np.bool_)
    actual[row, truth] = True
    top = scores.argmax(axis=1)
    peak = np.ascontiguousarray(scores[row, top])
    slots = (2 * np.arange(k) + actual) * SCORE_BINS + score_bin(scores.ravel()).reshape(n, k)
    return [
        _Plane(Family.SCORED, 1, cell, 0),
        _Plane(Family.CLASS_SCORE, 2 * k * SCORE_BINS, np.repeat(cell, k), slots.ravel()),
        *_losses(cell, scores[row, truth], np.square(scores - actual).sum(axis=1)),
        *_calibration(cell, score_bin(peak), peak, top == truth),
    ]


def _losses(cell: NDArray[np.intp], given: Floats, brier: Floats) -> list[_Plane]:
    loss = -log(np.clip(given, _EPS, 1.0 - _EPS))
    units = np.rint(np.stack((loss, loss * loss, brier, brier * brier)) * 2.0**LOSS_BITS)
    high = np.trunc(units * 2.0**-32)
    low = units - high * 2.0**32
    return [
        _Plane(Family.SUM, 1, cell, name * SUM_LIMBS + limb, part[name])
        for name in (LOG_LOSS, LOG_LOSS_2, BRIER, BRIER_2)
        for limb, part in ((0, low), (1, high))
    ]


def _calibration(cell: NDArray[np.intp], bins: Ints, p: Floats, hit: NDArray[np.bool_]) -> list[_Plane]:
    slot = 4 * CALIBRATION_OF_SCORE[bins]
    units = np.rint(p * 2.0**CALIBRATION_BITS)
    high = np.trunc(units * 2.0**-32)
    hits = np.flatnonzero(hit)
    width = 4 * CALIBRATION_BINS
    return [
        _Plane(Family.CALIBRATION, width, cell, slot, units - high * 2.0**32),
        _Plane(Family.CALIBRATION, width, cell, slot + 1, high),
        _Plane(Family.CALIBRATION, width, cell[hits], slot[hits] + 2),
        _Plane(Family.CALIBRATION, width, cell, slot + 3),
    ]


def _regression(scale: Scale, cell: NDArray[np.intp], actual: Floats, predicted: Floats) -> list[_Plane]:
    error = np.ldexp(predicted - actual, scale.exponent)
    y = np.rint(to_units(scale, actual))
    square, rest = exact_square(y)
    error2 = error * error
    # an actual nearer to 0 than the resolution is 0: its ratio would be noise
    size = np.abs(np.ldexp(actual, scale.exponent))
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
    names = (*values, Y_2)  # the square's rounding error goes to the same sum: Σy² is exact
    matrix = np.rint(np.stack((*values.values(), rest)))
    return [
        _Plane(Family.NONZERO, 1, cell[nonzero], 0),
        *(
            _Plane(Family.SUM, 1, cell, name * SUM_LIMBS + limb, part[row])
            for limb, part in limbs(matrix)
            for row, name in enumerate(names)
        ),
    ]


def _count(cells: int, planes: list[_Plane]) -> Sparse:
    rows = max(plane.cell.size for plane in planes)
    if cells > 2 * rows + 1:
        return _compacted(planes)
    widths: dict[Family, int] = {}
    for plane in sorted(planes, key=lambda plane: plane.family):
        widths[plane.family] = 12 * SUM_LIMBS if plane.family is Family.SUM else plane.width
    entries = sum(plane.cell.size for plane in planes if plane.weight is None)
    if cells * sum(widths.values()) <= max(_DENSE, 4 * entries):
        return _count_dense(cells, planes, tuple(widths.items()))
    return _count_sorted(cells, planes)


def _compacted(planes: list[_Plane]) -> Sparse:
    """Fewer rows than cells: count over the cells that occur."""
    present = np.unique(np.concatenate([plane.cell for plane in planes]))
    if present.size == 0:
        return Sparse.empty()
    dense = [
        _Plane(p.family, p.width, np.searchsorted(present, p.cell), p.index, p.weight)  # stays in order
        for p in planes
    ]
    counted = _count(present.size, dense)
    return Sparse(present.astype(np.uint32)[counted.cell], counted.code, counted.amount)


@lru_cache(maxsize=64)
def _layout(widths: tuple[tuple[Family, int], ...]) -> tuple[dict[Family, int], NDArray[np.uint32]]:
    """Offset of each family in a grid row, and the code of each grid column (ascending)."""
    offsets: dict[Family, int] = {}
    start = 0
    for family, width in widths:
        offsets[family] = start
        start += width
    columns = [np.arange(width, dtype=np.uint32) + np.uint32(family << FAMILY_SHIFT) for family, width in widths]
    return offsets, np.concatenate(columns)


def _count_dense(cells: int, planes: list[_Plane], widths: tuple[tuple[Family, int], ...]) -> Sparse:
    offsets, codes = _layout(widths)
    columns = codes.size
    flat = [_flat(p, cells, columns, offsets[p.family]) for p in planes if p.weight is None and not _constant(p)]
    grid = np.bincount(np.concatenate(flat), minlength=cells * columns) if flat else np.zeros(cells * columns, np.intp)
    grid = grid.reshape(cells, columns)
    for plane in planes:
        start = offsets[plane.family]
        if isinstance(plane.index, int):
            grid[:, start + plane.index] += _per_cell(plane, cells)
        elif plane.weight is not None:
            sums = np.bincount(_flat(plane, cells, plane.width, 0), plane.weight, cells * plane.width)
            grid[:, start : start + plane.width] += sums.astype(np.int64).reshape(cells, plane.width)
    filled = np.flatnonzero(grid)
    amount = grid.ravel()[filled]
    if cells == 1:
        return Sparse(np.zeros(filled.size, np.uint32), codes[filled], amount)
    cell, column = np.divmod(filled, columns)
    return Sparse(cell.astype(np.uint32), codes[column], amount)


def _count_sorted(cells: int, planes: list[_Plane]) -> Sparse:
    plain = [p for p in planes if p.weight is None and not _constant(p)]
    found: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
    if plain:
        every = np.concatenate([_keys(plane) for plane in plain])
        every.sort()
        starts = run_starts(every)
        found.append((every[starts], np.diff(starts, append=every.size)))
    for plane in planes:
        if isinstance(plane.index, int):
            sums = _per_cell(plane, cells)
            kept = np.flatnonzero(sums)
            where = np.full(kept.size, plane.family << FAMILY_SHIFT | plane.index, np.uint32)
            found.append((keys(kept, where), sums[kept]))
        elif plane.weight is not None:
            unique, inverse = np.unique(_keys(plane), return_inverse=True)
            found.append((unique, np.bincount(inverse, plane.weight, unique.size).astype(np.int64)))
    return consolidate(np.concatenate([key for key, _ in found]), np.concatenate([amount for _, amount in found]))


def _constant(plane: _Plane) -> bool:
    return isinstance(plane.index, int)


def _flat(plane: _Plane, cells: int, columns: int, start: int) -> NDArray[np.int64]:
    index = plane.index + start if start else plane.index
    return np.asarray(index if cells == 1 else plane.cell * columns + index)


def _keys(plane: _Plane) -> NDArray[np.uint64]:
    return keys(plane.cell, np.asarray(plane.index + np.int64(plane.family << FAMILY_SHIFT)))


def _per_cell(plane: _Plane, cells: int) -> NDArray[np.int64]:
    """Rows, or whole-numbered weights, of each cell; exact because a chunk has at most 2^20 rows."""
    if plane.weight is None:
        return np.bincount(plane.cell, minlength=cells) if cells > 1 else np.array([plane.cell.size])
    if cells == 1:
        return np.array([int(plane.weight.sum())])
    return np.bincount(plane.cell, plane.weight, cells).astype(np.int64)


def _width(shape: Shape, *indexes: NDArray[np.integer]) -> int:
    """Classes to make room for: a class may be newer than the shape."""
    return max(shape.classes, *(int(index.max(initial=-1)) + 1 for index in indexes))


def _scored(top: Floats) -> tuple[NDArray[np.intp] | None, Floats]:
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
