"""Checked predictions → all that the transaction sends, ready made: no I/O, only numpy.

A row's *number* is its row in the block and the lower half of its place. Rows that repeat an id of an earlier row are
settled here: the first stands, they are not stored.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.models.facts import ModelFacts
from app.tracking import block
from app.tracking.batch import Coded, Feature, Numbers, Text
from app.tracking.block import Block
from app.tracking.checked import CheckedPredictions
from app.tracking.counting import count_prediction_rows
from app.tracking.ledger import Ledger
from app.tracking.repository import wire
from app.tracking.storing.content import content
from app.tracking.storing.keys import Keys, encode

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """`batch` holds the rows as they came; `keys` those to store, in key order; `stored` the same rows in theirs."""

    facts: ModelFacts
    batch: CheckedPredictions
    context_id: NDArray[np.int32]
    content: NDArray[np.int64]
    keys: Keys
    stored: Rows
    first: Rows  # by row: the first row of the same id (mostly itself)

    def __len__(self) -> int:
        return len(self.batch)


def prepare(facts: ModelFacts, batch: CheckedPredictions, context_id: NDArray[np.int32]) -> Prepared:
    keys = encode(facts.id, batch.ids)
    order, leader = keys.rows, keys.first
    first = np.empty(len(batch), np.intp)
    first[order] = order[leader]
    leads = leader == np.arange(len(leader))
    if leads.all():
        return Prepared(facts, batch, context_id, content(batch), keys, np.arange(len(batch)), first)
    return Prepared(facts, batch, context_id, content(batch), keys.take(leads), np.sort(order[leads]), first)


def records(prepared: Prepared, first_place: int) -> bytes:
    """The COPY stream of table `prediction`, in key order."""
    batch = prepared.batch
    parts = [wire.HEAD]
    for group in prepared.keys.groups:
        rows = group.rows
        parts.append(
            wire.rows(
                [
                    group.keys,
                    places(prepared, rows, first_place),
                    prepared.content[rows],
                    wire.moments(batch.predicted_at[rows]),
                    batch.score[rows],
                    prepared.context_id[rows],
                    batch.predicted[rows].astype(np.int16),
                    None if batch.scores is None else wire.opaque(batch.scores[rows]),
                ]
            )
        )
    return b"".join([*parts, wire.TAIL])


def places(prepared: Prepared, rows: Rows, first_place: int) -> NDArray[np.int64]:
    """The places of `rows`: their numbers among the stored ones, from `first_place` on."""
    if len(prepared.stored) == len(prepared.batch):
        return rows + first_place
    return np.searchsorted(prepared.stored, rows) + first_place


def body(prepared: Prepared, lost: Rows | None = None) -> bytes:
    """The block of the stored rows; those of `lost` were stored by another transaction, so their numbers stay blank."""
    rows = _whole(prepared)
    batch = prepared.batch if rows is None else take(prepared.batch, rows)
    whole = Block(
        ids=batch.ids,
        predicted_at=batch.predicted_at,
        context_id=prepared.context_id if rows is None else prepared.context_id[rows],
        predicted=batch.predicted,
        score=batch.score,
        scores=batch.scores,
        features=batch.features,
        segments=batch.segments,
        known_at=batch.known_at,
    )
    if lost is None or not lost.size:
        return block.pack(whole)
    return block.pack(block.blanked(whole, np.searchsorted(prepared.stored, lost)))


def ledger(prepared: Prepared, arrived_us: int, rows: Rows | None = None) -> Ledger:
    """What `rows` (None: all that are stored) add to the statistics."""
    batch = prepared.batch
    rows = _whole(prepared) if rows is None else rows
    picked: Any = slice(None) if rows is None else rows
    return count_prediction_rows(
        prepared.facts.shape,
        context_id=prepared.context_id[picked],
        predicted_at=batch.predicted_at[picked],
        known_at=arrived_us if batch.known_at is None else batch.known_at[picked],
        predicted=batch.predicted[picked],
        score=batch.score[picked],
        scores=None if batch.scores is None else batch.scores[picked],
    )


def only(prepared: Prepared, wanted: NDArray[np.bool_]) -> Prepared:
    """Without the rows that are not `wanted` (by row); the rows keep their numbers within the batch."""
    stored = prepared.stored[wanted[prepared.stored]]
    return replace(prepared, keys=prepared.keys.take(wanted[prepared.keys.rows]), stored=stored)


def take(batch: CheckedPredictions, rows: Rows) -> CheckedPredictions:
    """The batch of those rows."""
    return replace(
        batch,
        ids=take_text(batch.ids, rows),
        predicted_at=batch.predicted_at[rows],
        version_no=batch.version_no[rows],
        predicted=batch.predicted[rows],
        sent_version=batch.sent_version[rows],
        sent_class=batch.sent_class[rows],
        score=batch.score[rows],
        scores=None if batch.scores is None else batch.scores[rows],
        features={name: _take(column, rows) for name, column in batch.features.items()},
        segments={key: Coded(column.codes[rows], column.values) for key, column in batch.segments.items()},
        subject=None if batch.subject is None else take_text(batch.subject, rows),
        known_at=None if batch.known_at is None else batch.known_at[rows],
    )


def take_text(text: Text, rows: Rows) -> Text:
    lengths = np.diff(text.offsets)[rows]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    index = np.repeat(text.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Text(np.frombuffer(text.data, np.uint8)[index].tobytes(), offsets)


def _take(column: Feature, rows: Rows) -> Feature:
    if isinstance(column, Coded):
        return Coded(column.codes[rows], column.values)
    return Numbers(column.values[rows], None if column.valid is None else column.valid[rows])


def _whole(prepared: Prepared) -> Rows | None:
    """None where every row is stored: nothing has to be picked."""
    return None if len(prepared.stored) == len(prepared.batch) else prepared.stored
