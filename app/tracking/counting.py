"""Rows → ledger: the one way in which predictions and labels are counted, by writers, as-of tails and rebuilds alike.

A row of `label` counts by itself: its `actual` is added in the cell of its prediction at its own `known_at`, and what
it `replaces` is taken away there, with the same delay. So the delay of the first label stays, and any set of rows may
be counted in any order. `replaces` is the value before it in the order (known_at, revision).
"""

import numpy as np
from numpy.typing import NDArray

from app.core.clock import MINUTE
from app.stats.tally import Shape, count_labels, count_predictions, merge, negate
from app.tracking.ledger import Ledger

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]


def count_prediction_rows(
    shape: Shape,
    *,
    context_id: Ints,
    predicted_at: NDArray[np.int64],
    known_at: NDArray[np.int64] | int,
    predicted: Ints,
    score: Floats,
    scores: Floats | None,
) -> Ledger:
    """All arrays have n rows; times in us."""
    cells, place = _cells(context_id, predicted_at, known_at)
    return Ledger(cells, count_predictions(shape, place, len(cells), predicted=predicted, score=score, scores=scores))


def count_label_rows(
    shape: Shape,
    *,
    context_id: Ints,
    predicted_at: NDArray[np.int64],
    known_at: NDArray[np.int64] | int,
    predicted: Ints,
    score: Floats,
    scores: Floats | None,
    actual: Floats,
    replaces: Floats | None = None,
) -> Ledger:
    """All arrays have n rows; `replaces` is NaN where a label is the first one, None where all are."""
    cells, place = _cells(context_id, predicted_at, known_at)
    delay = np.asarray(known_at - predicted_at, np.int64)
    counted = count_labels(
        shape, place, len(cells), actual=actual, predicted=predicted, score=score, scores=scores, delay_us=delay
    )
    if replaces is None or not (again := np.flatnonzero(~np.isnan(replaces))).size:
        return Ledger(cells, counted)
    taken = count_labels(
        shape,
        place[again],
        len(cells),
        actual=replaces[again],
        predicted=predicted[again],
        score=score[again],
        scores=None if scores is None else scores[again],
        delay_us=delay[again],
    )
    return Ledger(cells, merge([counted, negate(taken)]))


def _cells(
    context_id: Ints, predicted_at: NDArray[np.int64], known_at: NDArray[np.int64] | int
) -> tuple[NDArray[np.void], NDArray[np.intp]]:
    known = np.broadcast_to(np.asarray(known_at, np.int64) // MINUTE, predicted_at.shape)
    return Ledger.of(context_id, predicted_at // MINUTE, known)
