"""Writes predictions and labels as the service's transactions leave them, one row of each table at a time given."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from app.core.clock import Clock, to_datetime
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking import block
from app.tracking.batch import Feature, Text
from app.tracking.block import Block
from app.tracking.counting import count_label_rows, count_prediction_rows
from app.tracking.ledger import pack
from app.tracking.repository import arrivals


@dataclass(frozen=True, slots=True)
class Row:
    """A prediction and where it lies; `score` NaN and `scores` None where it has none."""

    predicted_at: int
    known_at: int
    context_id: int
    version_no: int
    segments: tuple[int, ...]
    predicted: int
    score: float
    scores: tuple[float, ...] | None = None
    place: int = -1


@dataclass
class RawWriter:
    """One model's writer; `rows` are the stored predictions, `labels[i]` the history (known_at, actual) of row i."""

    database: Database
    clock: Clock
    facts: ModelFacts
    rows: list[Row] = field(default_factory=list)
    labels: dict[int, list[tuple[int, float]]] = field(default_factory=dict)

    async def context(self, version_no: int, segments: dict[str, str]) -> tuple[int, tuple[int, ...]]:
        """The context's number and its segments' numbers."""
        async with self.database.transaction() as connection:
            numbers = []
            for key, value in sorted(segments.items()):
                await connection.execute(
                    "insert into segment (model_no, dimension, value) values ($1, $2, $3) on conflict do nothing",
                    *(self.facts.id, key, value),
                )
                numbers.append(
                    await connection.fetchval(
                        "select segment_no from segment where model_no = $1 and dimension = $2 and value = $3",
                        *(self.facts.id, key, value),
                    )
                )
            await connection.execute(
                "insert into context (model_no, version_no, segment_nos) values ($1, $2, $3) on conflict do nothing",
                *(self.facts.id, version_no, numbers),
            )
            context_id = await connection.fetchval(
                "select context_id from context where model_no = $1 and version_no = $2 and segment_nos = $3",
                *(self.facts.id, version_no, numbers),
            )
        return context_id, tuple(numbers)

    async def predict(
        self, rows: list[Row], *, features: dict[str, Feature] | None = None, imported: bool = False
    ) -> None:
        """One transaction; without `imported`, every row is known at the moment of the transaction."""
        async with self.database.transaction() as connection:
            arrival = await arrivals.arrive(connection, self.clock)
            if not imported:
                rows = [replace(row, known_at=arrival.us) for row in rows]
            rows = [replace(row, place=arrival.first_place + number) for number, row in enumerate(rows)]
            columns = _columns(self.facts, rows)
            known = np.array([row.known_at for row in rows], np.int64)
            body = block.pack(
                Block(
                    ids=Text(b"x" * len(rows), np.arange(len(rows) + 1)),
                    features=features or {},
                    segments={},
                    known_at=known if imported else None,
                    **columns,
                )
            )
            await arrivals.add_block_and_delta(
                connection,
                arrival,
                self.facts.id,
                n=len(rows),
                known=(int(known.min()), int(known.max())),
                form=block.FORMAT,
                body=body,
                kind=arrivals.IMPORTED if imported else arrivals.PREDICTIONS,
                delta=pack(count_prediction_rows(self.facts.shape, known_at=known, **columns)),
            )
        self.rows += rows

    async def label(self, numbers: list[int], actual: list[float], *, known_at: list[int] | None = None) -> None:
        """One transaction of labels and corrections (each of a row at most once); `known_at` makes it an import."""
        async with self.database.transaction() as connection:
            arrival = await arrivals.arrive(connection, self.clock)
            known = [arrival.us] * len(numbers) if known_at is None else known_at
            replaces = []
            for number, value, moment in zip(numbers, actual, known, strict=True):
                history = self.labels.setdefault(number, [])
                replaces.append(history[-1][1] if history else None)
                history.append((moment, value))
                await self._store(connection, self.rows[number], len(history) - 1, value, replaces[-1], moment)
            chosen = [self.rows[number] for number in numbers]
            ledger = count_label_rows(
                self.facts.shape,
                known_at=np.array(known, np.int64),
                actual=np.array(actual, np.float64),
                replaces=np.array([np.nan if old is None else old for old in replaces], np.float64),
                **_columns(self.facts, chosen),
            )
            kind = arrivals.LABELS if known_at is None else arrivals.IMPORTED
            await arrivals.add_delta(connection, arrival, self.facts.id, kind=kind, body=pack(ledger))

    async def _store(
        self, connection: Any, row: Row, revision: int, actual: float, replaces: float | None, known_at: int
    ) -> None:
        moment = to_datetime(known_at)
        await connection.execute(
            "insert into label (place, actual, replaces, event_at, arrived_at, known_at, predicted_at, score, "
            "model_no, context_id, revision, predicted, scores) values ($1,$2,$3,$4,$4,$4,$5,$6,$7,$8,$9,$10,$11)",
            *(row.place, actual, replaces, moment, to_datetime(row.predicted_at), row.score, self.facts.id),
            *(row.context_id, revision, row.predicted),
            None if row.scores is None else np.array(row.scores).tobytes(),
        )


def _columns(facts: ModelFacts, rows: list[Row]) -> dict[str, Any]:
    scores = None
    if facts.task is Task.MULTICLASS:
        nothing = (np.nan,) * len(facts.classes)
        scores = np.array([nothing if row.scores is None else row.scores for row in rows], np.float64)
    return {
        "predicted_at": np.array([row.predicted_at for row in rows], np.int64),
        "context_id": np.array([row.context_id for row in rows], np.int32),
        "predicted": np.array([row.predicted for row in rows], np.int32),
        "score": np.array([row.score for row in rows], np.float64),
        "scores": scores,
    }
