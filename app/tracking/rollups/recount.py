"""Counting stored rows again: as-of tails and rebuilds use the writers' own counting."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from app.stats.tally import Shape
from app.tracking.counting import count_label_rows, count_prediction_rows
from app.tracking.ledger import Ledger, merge
from app.tracking.repository.raw import StoredBlock, StoredLabels

Wanted = Callable[[NDArray[np.int64]], NDArray[np.bool_]]  # known_at [n] -> which rows count


def count_blocks(shape: Shape, blocks: Iterable[StoredBlock], wanted: Wanted | None = None) -> Ledger:
    """The predictions of some blocks, erased rows left out."""
    return merge([_count_block(shape, stored, wanted) for stored in blocks])


def count_labels(shape: Shape, labels: StoredLabels) -> Ledger:
    """Labels and corrections: each adds its value and takes back what it replaces."""
    return count_label_rows(
        shape,
        context_id=labels.context_id,
        predicted_at=labels.predicted_at,
        known_at=labels.known_at,
        predicted=labels.predicted,
        score=labels.score,
        scores=labels.scores,
        actual=labels.actual,
        replaces=labels.replaces,
    )


def _count_block(shape: Shape, stored: StoredBlock, wanted: Wanted | None) -> Ledger:
    block, known_at = stored.block, stored.known_at
    rows = np.ones(len(block), np.bool_) if wanted is None else wanted(known_at)
    if block.blank is not None:
        rows = rows & ~block.blank
    return count_prediction_rows(
        shape,
        context_id=block.context_id[rows],
        predicted_at=block.predicted_at[rows],
        known_at=known_at[rows],
        predicted=block.predicted[rows],
        score=block.score[rows],
        scores=None if block.scores is None else block.scores[rows],
    )
