"""One prediction as it stands: its key row, its row in the block, its labels."""

from typing import Any

import numpy as np

from app.core.clock import from_datetime, rfc3339
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.arrival import split
from app.tracking.batch import MISSING, Coded
from app.tracking.block import Block, unpack
from app.tracking.errors import PredictionNotFound
from app.tracking.repository import labels, predictions
from app.tracking.repository.labels import Said, Waiting
from app.tracking.repository.predictions import Found
from app.tracking.schemas import LabelSeen, PredictionSeen
from app.tracking.storing.keys import key_of


async def look_up(database: Database, facts: ModelFacts, prediction_id: str) -> PredictionSeen:
    """Raises `PredictionNotFound`."""
    key = key_of(facts.id, prediction_id)
    async with database.transaction(snapshot=True) as connection:
        found = await predictions.find(connection, key)
        if found is None:
            raise PredictionNotFound(f"{facts.model_id} has no prediction {prediction_id[:128]}")
        if found.place < 0:
            waiting = (await labels.waiting(connection, [key])).get(key)
            return PredictionSeen(
                facts.model_id, prediction_id, waiting=None if waiting is None else _label(facts, waiting)
            )
        block_id, row = split(found.place)
        block = await predictions.block_body(connection, block_id)
        said = await labels.of_place(connection, found.place)
    raw = None if block is None else (from_datetime(block[0]), unpack(block[1]))
    return _seen(facts, prediction_id, found, raw, row, [_label(facts, label) for label in said])


def _seen(
    facts: ModelFacts,
    prediction_id: str,
    found: Found,
    raw: tuple[int, Block] | None,
    row: int,
    said: list[LabelSeen],
) -> PredictionSeen:
    versions = {number: label for label, number in facts.versions.items()}
    regression = facts.task is Task.REGRESSION
    return PredictionSeen(
        model_id=facts.model_id,
        prediction_id=prediction_id,
        timestamp=rfc3339(from_datetime(found.predicted_at)),
        known_at=None if raw is None else rfc3339(_known_at(*raw, row)),
        version=None if found.version_no is None else versions.get(found.version_no),
        predicted=found.score if regression else facts.classes[found.predicted],
        score=None if regression or np.isnan(found.score) else found.score,
        scores=_scores(facts, found.scores),
        features=None if raw is None else {name: _value(column, row) for name, column in raw[1].features.items()},
        segment=None if raw is None else _segment(raw[1], row),
        labels=said,
    )


def _known_at(arrived_us: int, block: Block, row: int) -> int:
    return arrived_us if block.known_at is None else int(block.known_at[row])


def _scores(facts: ModelFacts, stored: bytes | None) -> dict[str, float] | None:
    if stored is None:
        return None
    values = np.frombuffer(stored, "<f8")
    return None if np.isnan(values).any() else dict(zip(facts.classes, values.tolist(), strict=False))


def _value(column: Any, row: int) -> float | str | None:
    if isinstance(column, Coded):
        code = int(column.codes[row])
        return None if code == MISSING else column.values[code]
    value = float(column.values[row])
    return None if np.isnan(value) else value


def _segment(block: Block, row: int) -> dict[str, str]:
    read = {key: _value(column, row) for key, column in block.segments.items()}
    return {key: str(value) for key, value in read.items() if value is not None}


def _actual(facts: ModelFacts, actual: float) -> float | str:
    return actual if facts.task is Task.REGRESSION else facts.classes[int(actual)]


def _label(facts: ModelFacts, label: Said | Waiting) -> LabelSeen:
    event_at, arrived_at, known_at = (
        rfc3339(from_datetime(moment)) for moment in (label.event_at, label.arrived_at, label.known_at)
    )
    correction = isinstance(label, Said) and label.revision > 0
    return LabelSeen(_actual(facts, label.actual), event_at, arrived_at, known_at, correction)
