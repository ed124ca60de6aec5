"""Predictions: one transaction for all requests of a group.

The index decides: rows are copied straight into the primary key. Only where a key is taken does the transaction start
anew on the slow road, which tells duplicates, conflicts and waiting labels apart.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, from_datetime
from app.core.compute import beside
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.tracking import block
from app.tracking.arrival import Arrival
from app.tracking.counting import count_label_rows
from app.tracking.digests import subject_digest
from app.tracking.ledger import Ledger, merge, pack
from app.tracking.repository import arrivals, labels, predictions
from app.tracking.repository.labels import Lines, Waiting
from app.tracking.repository.predictions import KeyTaken
from app.tracking.repository.races import repeated
from app.tracking.schemas import PredictionsStored
from app.tracking.storing import prepare
from app.tracking.storing.at_once import AtOnce
from app.tracking.storing.contexts import Contexts
from app.tracking.storing.merging import Predictions, merge_predictions
from app.tracking.storing.outcome import CONFLICT, DUPLICATE, ERASED, Outcome, answers, edges
from app.tracking.storing.prepare import Prepared

HABIT = 10  # transactions; a model whose last ten all took the slow road starts there


class Habit:
    """Which road a model's transactions took lately."""

    def __init__(self) -> None:
        self._slow: deque[bool] = deque(maxlen=HABIT)

    @property
    def slow(self) -> bool:
        return len(self._slow) == HABIT and all(self._slow)

    def note(self, *, slow: bool) -> None:
        self._slow.append(slow)


class PredictionStore:
    """Stores checked predictions durably; one per process."""

    def __init__(self, database: Database, clock: Clock, contexts: Contexts) -> None:
        self._database = database
        self._clock = clock
        self._contexts = contexts
        self._at_once = AtOnce(database, clock)
        self._habits: dict[int, Habit] = {}

    async def store(self, facts: ModelFacts, batches: Sequence[Predictions]) -> list[PredictionsStored]:
        """The answer to each batch, after all are durable; `facts` know every class of every batch."""
        rows = sum(len(batch) for batch in batches)
        batch = await beside(rows, partial(merge_predictions, batches))
        context_id = await self._contexts.resolve(facts, batch)
        prepared = await beside(rows, partial(prepare.prepare, facts, batch, context_id))
        habit = self._habits.setdefault(facts.id, Habit())
        if not habit.slow:
            try:
                outcome = await self._directly(prepared)
            except KeyTaken:
                return await self._taken(facts, batches, prepared, habit)
            habit.note(slow=False)
        else:
            outcome = await repeated(partial(self._slowly, prepared, habit))
        return answers(batches, outcome)

    async def _taken(
        self, facts: ModelFacts, batches: Sequence[Predictions], prepared: Prepared, habit: Habit
    ) -> list[PredictionsStored]:
        """The requests that meet no taken key go on alone, so that the others don't hold them up twice."""
        free = await self._free(batches, prepared) if len(batches) > 1 else []
        if not free or len(free) == len(batches):
            return answers(batches, await repeated(partial(self._slowly, prepared, habit)))
        rest = sorted({*range(len(batches))} - {*free})
        found = dict(zip(free, await self.store(facts, [batches[i] for i in free]), strict=True))
        found |= zip(rest, await self._all_slowly(facts, [batches[i] for i in rest], habit), strict=True)
        return [found[i] for i in range(len(batches))]

    async def _all_slowly(
        self, facts: ModelFacts, batches: Sequence[Predictions], habit: Habit
    ) -> list[PredictionsStored]:
        rows = sum(len(batch) for batch in batches)
        batch = await beside(rows, partial(merge_predictions, batches))
        context_id = await self._contexts.resolve(facts, batch)
        prepared = await beside(rows, partial(prepare.prepare, facts, batch, context_id))
        return answers(batches, await repeated(partial(self._slowly, prepared, habit)))

    async def _free(self, batches: Sequence[Predictions], prepared: Prepared) -> list[int]:
        """The requests none of whose keys stands."""
        async with self._database.transaction() as connection:
            standing = await predictions.standing(connection, prepared.keys.tolist())
        taken = np.zeros(len(prepared), np.bool_)
        taken[prepared.keys.rows[standing.row]] = True
        taken = taken[prepared.first]
        borders = edges(batches)
        return [i for i in range(len(batches)) if not taken[borders[i] : borders[i + 1]].any()]

    async def _directly(self, prepared: Prepared) -> Outcome:
        """Raises `KeyTaken`."""
        if not (self._at_once.fits(prepared) and await self._at_once.store(prepared)):
            await self._copied(prepared)
        return Outcome(_repeats(prepared, prepared.content), np.zeros(len(prepared), np.bool_))

    async def _copied(self, prepared: Prepared) -> None:
        """Raises `KeyTaken`."""
        rows = len(prepared)
        async with self._database.transaction() as connection:
            arrival = await arrivals.arrive(connection, self._clock)
            self._at_once.saw(arrival.us)
            stream = await beside(rows, partial(prepare.records, prepared, arrival.first_place))
            await predictions.copy(connection, stream)
            body, counted = await beside(rows, partial(_block_and_ledger, prepared, arrival.us))
            await self._append(connection, arrival, prepared, body, counted)
            await self._add_subjects(connection, arrival, prepared, prepared.stored)

    async def _slowly(self, prepared: Prepared, habit: Habit) -> Outcome:
        """Raises `KeyTaken` or a deadlock's error: repeat it then."""
        stands = prepared.content.copy()  # by row: the content that stands under its key in the end
        fresh = np.ones(len(prepared), np.bool_)
        joined = np.zeros(len(prepared), np.bool_)
        async with self._database.transaction() as connection:
            gone = await erased_rows(connection, prepared)
            fresh[gone] = False
            needed = await self._look(connection, prepared, fresh, stands) or gone.size > 0
            wanted = prepare.only(prepared, fresh)
            if len(wanted.stored):
                arrival = await arrivals.arrive(connection, self._clock)
                lost = await self._insert(connection, arrival, wanted)
                if lost.size:  # taken since we looked; now we know by whom
                    fresh[lost] = False
                    await self._look(connection, prepared, fresh, stands, lost)
                waiting = await self._finish(connection, arrival, wanted, lost)
                joined[waiting] = True
                needed |= lost.size > 0 or len(waiting) > 0
        habit.note(slow=needed)
        status = _repeats(prepared, stands)
        refused = prepared.stored[~fresh[prepared.stored]]
        status[refused] = np.where(stands[refused] == prepared.content[refused], DUPLICATE, CONFLICT)
        status[np.isin(prepared.first, gone)] = ERASED
        return Outcome(status, joined)

    async def _look(
        self,
        connection: Any,
        prepared: Prepared,
        fresh: NDArray[np.bool_],
        stands: NDArray[np.int64],
        rows: NDArray[np.intp] | None = None,
    ) -> bool:
        """Notes which rows' keys hold a prediction, and its content; whether any key stands at all."""
        asked = prepared.keys
        if rows is not None:
            mask = np.zeros(len(prepared), np.bool_)
            mask[rows] = True
            asked = asked.take(mask[asked.rows])
        found = await predictions.standing(connection, asked.tolist())
        whole = found.place >= 0
        mine = asked.rows[found.row[whole]]
        fresh[mine] = False
        stands[mine] = found.content[whole]
        return bool(len(found.row))

    async def _insert(self, connection: Any, arrival: Arrival, wanted: Prepared) -> NDArray[np.intp]:
        """The rows of `wanted` that another transaction has taken since."""
        rows, batch = wanted.keys.rows, wanted.batch
        places = prepare.places(wanted, rows, arrival.first_place)
        scores = [None] * len(rows) if batch.scores is None else [row.tobytes() for row in batch.scores[rows]]
        taken = await predictions.insert(
            connection,
            wanted.keys.tolist(),
            [
                places,
                wanted.content[rows],
                batch.predicted_at[rows],
                batch.score[rows],
                wanted.context_id[rows],
                batch.predicted[rows],
            ],
            scores,
        )
        return np.sort(rows[~np.isin(places, np.array(taken, np.int64))])

    async def _finish(
        self, connection: Any, arrival: Arrival, wanted: Prepared, lost: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Block, delta and the labels that had waited, for the rows that got their key; the rows that got a label."""
        rows = np.setdiff1d(wanted.stored, lost, assume_unique=True)
        if not rows.size:
            return rows
        mask = np.zeros(len(wanted), np.bool_)
        mask[rows] = True
        mine = wanted.keys.take(mask[wanted.keys.rows])
        row_of = dict(zip(mine.tolist(), mine.rows.tolist(), strict=True))
        waited = await labels.join_now(connection, list(row_of))
        counted = await beside(len(rows), partial(prepare.ledger, wanted, arrival.us, rows))
        if waited:
            found = [(row_of[label.key], label) for label in waited]
            lines = await beside(len(found), partial(_joined_lines, wanted, arrival, found))
            await labels.append(connection, wanted.facts.id, lines)
            joined = await beside(len(found), partial(count_lines, wanted.facts, lines))
            if wanted.batch.known_at is None:
                await arrivals.add_delta(
                    connection, arrival, wanted.facts.id, kind=arrivals.LABELS, body=pack(joined)
                )  # fmt: skip
            else:
                counted = merge([counted, joined])
        body = await beside(len(wanted), partial(prepare.body, wanted, lost))
        await self._append(connection, arrival, wanted, body, counted)
        await self._add_subjects(connection, arrival, wanted, rows)
        return np.array([row_of[label.key] for label in waited], np.intp)

    async def _append(
        self, connection: Any, arrival: Arrival, prepared: Prepared, body: bytes, counted: Ledger
    ) -> None:
        """Raises `KeyTaken` where a row was erased: the slow road tells which."""
        known = prepared.batch.known_at
        if known is not None:
            known = known[prepared.stored]
        erasures = await arrivals.add_block_and_delta(
            connection,
            arrival,
            prepared.facts.id,
            n=len(prepared.stored),
            known=(arrival.us, arrival.us) if known is None else (int(known.min()), int(known.max())),
            form=block.FORMAT,
            body=body,
            kind=arrivals.PREDICTIONS if known is None else arrivals.IMPORTED,
            delta=pack(counted),
        )
        if erasures and (await erased_rows(connection, prepared)).size:
            raise KeyTaken  # its keys are in, so an erasure that took them away before has ended and is seen here

    async def _add_subjects(
        self, connection: Any, arrival: Arrival, prepared: Prepared, rows: NDArray[np.intp]
    ) -> None:
        subject = prepared.batch.subject
        if subject is None:
            return
        names = subject.tolist()
        named = np.array([row for row in rows.tolist() if names[row]], np.intp)
        if named.size:
            secret = await predictions.subject_secret(connection)
            hashed = [subject_digest(secret, names[row]) for row in named.tolist()]
            places = prepare.places(prepared, named, arrival.first_place).tolist()
            await predictions.add_subjects(connection, prepared.facts.id, hashed, places)


async def erased_rows(connection: Any, prepared: Prepared) -> NDArray[np.intp]:
    """The rows, of those to store, that were erased before."""
    digests = await predictions.erased(connection, prepared.facts.id, prepared.keys.tolist())
    return prepared.keys.rows[[place for place, gone in enumerate(digests) if gone]]


def count_lines(facts: ModelFacts, lines: Lines) -> Ledger:
    """What rows of `label` add to the statistics."""
    return count_label_rows(
        facts.shape,
        context_id=lines.context_id,
        predicted_at=lines.predicted_at,
        known_at=lines.known_at,
        predicted=lines.predicted,
        score=lines.score,
        scores=lines.scores,
        actual=lines.actual,
        replaces=lines.replaces,
    )


def _repeats(prepared: Prepared, stands: NDArray[np.int64]) -> NDArray[np.int8]:
    """By row: rows that repeat an earlier one's id say the same as what stands under it, or not; the others pass."""
    status = np.zeros(len(prepared), np.int8)
    if len(prepared.stored) < len(prepared):
        rows = np.flatnonzero(prepared.first != np.arange(len(prepared)))
        status[rows] = np.where(prepared.content[rows] == stands[prepared.first[rows]], DUPLICATE, CONFLICT)
    return status


def _block_and_ledger(prepared: Prepared, arrived_us: int) -> tuple[bytes, Ledger]:
    return prepare.body(prepared), prepare.ledger(prepared, arrived_us)


def _joined_lines(wanted: Prepared, arrival: Arrival, waited: Sequence[tuple[int, Waiting]]) -> Lines:
    """The labels that waited, as first lines; known no earlier than their prediction, or its past would change."""
    batch = wanted.batch
    rows = np.array([row for row, _ in waited], np.intp)
    order = np.argsort(rows)  # numbers grow with rows, and places with numbers
    rows, found = rows[order], [waited[i][1] for i in order]
    known = arrival.us if batch.known_at is None else batch.known_at[rows]
    return Lines(
        place=prepare.places(wanted, rows, arrival.first_place),
        actual=np.array([label.actual for label in found]),
        replaces=np.full(len(found), np.nan),
        event_at=_us(label.event_at for label in found),
        arrived_at=_us(label.arrived_at for label in found),
        known_at=np.maximum(_us(label.known_at for label in found), known),
        predicted_at=batch.predicted_at[rows],
        score=batch.score[rows],
        context_id=wanted.context_id[rows],
        revision=np.zeros(len(found), np.int16),
        predicted=batch.predicted[rows],
        scores=None if batch.scores is None else batch.scores[rows],
    )


def _us(moments: Any) -> NDArray[np.int64]:
    return np.array([from_datetime(moment) for moment in moments], np.int64)
