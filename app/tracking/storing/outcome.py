"""What became of each row of a group, and so the answer to each request of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.tracking.schemas import Conflict, PredictionsStored
from app.tracking.storing import prepare
from app.tracking.storing.merging import Predictions, cut

ACCEPTED, DUPLICATE, CONFLICT, ERASED = 0, 1, 2, 3

_DETAILS = {
    CONFLICT: "stands with another content; nothing was overwritten",
    ERASED: "was erased on request; it is not taken in again",
}


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """By row of the batch: what became of it, and whether a label had waited for it."""

    status: NDArray[np.int8]
    joined: NDArray[np.bool_]


def answers(batches: Sequence[Predictions], outcome: Outcome) -> list[PredictionsStored]:
    if not outcome.status.any() and not outcome.joined.any():
        return [PredictionsStored(accepted=len(batch)) for batch in batches]
    borders = edges(batches)
    return [
        _answer(batch, outcome.status[low:high], outcome.joined[low:high])
        for batch, low, high in zip(batches, borders[:-1], borders[1:], strict=True)
    ]


def _answer(batch: Predictions, status: NDArray[np.int8], joined: NDArray[np.bool_]) -> PredictionsStored:
    if not status.any():
        return PredictionsStored(accepted=len(status), joined_labels=int(joined.sum()))
    accepted, duplicates, _, _ = np.bincount(status, minlength=4).tolist()
    rows = np.flatnonzero(status >= CONFLICT)
    names = prepare.take_text(cut(batch).ids, rows).tolist()
    details = (_DETAILS[kind] for kind in status[rows].tolist())
    conflicts = [Conflict(*found) for found in zip(rows.tolist(), names, details, strict=True)]
    return PredictionsStored(accepted, duplicates, conflicts, int(joined.sum()))


def edges(batches: Sequence[Predictions]) -> list[int]:
    """Where each request's rows begin, and the end."""
    return [0, *np.cumsum([len(batch) for batch in batches]).tolist()]
