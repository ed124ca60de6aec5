"""Rows that were tracked long ago, in bulk: counted as the service counts them, straight into the rollups."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.tracking.counting import count_label_rows, count_prediction_rows
from app.tracking.ledger import pack
from app.tracking.repository import arrivals
from app.tracking.rollups.fold import Folder
from tests.support.raw_writer import RawWriter

Column = NDArray[np.float64]


async def track(
    database: Database,
    clock: Clock,
    facts: ModelFacts,
    *,
    predicted_at: NDArray[np.int64],
    predicted: NDArray[np.int64] | Column,
    score: Column,
    actual: Column,
    known_at: NDArray[np.int64],
    version: str | None = None,
    segments: Sequence[Mapping[str, str]] = ({},),
    segment: NDArray[np.int64] | None = None,
    fold: bool = True,
) -> None:
    """Predictions, and labels where `actual` is not NaN and `known_at` is not after now. Times in us.

    `segments[segment[i]]` are row i's. For regression `score` is the predicted value.
    """
    writer = RawWriter(database, clock, facts)
    version_no = facts.versions[version or facts.default_version]
    numbers = [(await writer.context(version_no, dict(each)))[0] for each in segments]
    places = np.zeros(len(predicted_at), np.int64) if segment is None else segment
    rows = {
        "context_id": np.array(numbers, np.int64)[places],
        "predicted_at": predicted_at,
        "predicted": predicted,
        "score": score,
    }
    made = count_prediction_rows(facts.shape, known_at=predicted_at, scores=None, **rows)
    come = ~np.isnan(actual) & (known_at <= clock.now_us())
    rows = {name: column[come] for name, column in rows.items()}
    told = count_label_rows(facts.shape, known_at=known_at[come], actual=actual[come], scores=None, **rows)
    async with database.transaction() as connection:
        arrival = await arrivals.arrive(connection, clock)
        for ledger in (made, told):
            await arrivals.add_delta(connection, arrival, facts.id, kind=arrivals.IMPORTED, body=pack(ledger))
    if fold:
        await Folder(database, clock).fold_all()
