"""Rows → ledger: the one way in which predictions and labels are counted, by writers, as-of tails and rebuilds alike.

A row of `label` counts by itself: its `actual` is added in the cell of its prediction at its own `known_at`, and what
it `replaces` is taken away there, with the same delay. So the delay of the first label stays, and any set of rows may
be counted in any order. `replaces` is the value before it in the order (known_at, revision).
"""

import numpy as np
from numpy.typing import NDArray

from app.core.clock import MINUTE
from app.stats.tally import Shape, Sparse, count_labels, count_predictions, merge, negate
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
    """All arrays have n rows. A NaN in `actual` or `replaces` counts nothing; `replaces` None: all are first labels.

    A row of `scores` speaks of the classes that the model had when the prediction was made (NaN for those it learnt
    later) and always counts for those alone, whenever it is counted.
    """
    cells, place = _cells(context_id, predicted_at, known_at)
    delay = np.asarray(known_at - predicted_at, np.int64)

    def count(values: Floats) -> Sparse:
        said = ~np.isnan(values)
        return merge([counted(values, said & mine, width) for width, mine in _widths(scores, len(values))])

    def counted(values: Floats, which: NDArray[np.bool_], width: int) -> Sparse:
        kept = slice(None) if which.all() else np.flatnonzero(which)
        return count_labels(
            shape,
            place[kept],
            len(cells),
            actual=values[kept],
            predicted=predicted[kept],
            score=score[kept],
            scores=None if scores is None or not width else scores[kept, :width],
            delay_us=delay[kept],
        )

    added = count(actual)
    if replaces is None or np.isnan(replaces).all():
        return Ledger(cells, added)
    return Ledger(cells, merge([added, negate(count(replaces))]))


def _widths(scores: Floats | None, n: int) -> list[tuple[int, NDArray[np.bool_]]]:
    """How many classes rows speak of, and which rows do; 0 for rows without scores."""
    if scores is None:
        return [(0, np.ones(n, np.bool_))]
    widths = np.count_nonzero(~np.isnan(scores), axis=1)
    return [(width, widths == width) for width in np.unique(widths).tolist()]


def _cells(
    context_id: Ints, predicted_at: NDArray[np.int64], known_at: NDArray[np.int64] | int
) -> tuple[NDArray[np.void], NDArray[np.intp]]:
    known = np.broadcast_to(np.asarray(known_at, np.int64) // MINUTE, predicted_at.shape)
    return Ledger.of(context_id, predicted_at // MINUTE, known)
