"""Labels: one transaction for all requests of a group.

As with predictions, the index decides: labels are first copied as revision 0 of their place. Where one stands already,
the transaction starts anew with the histories read beside it. A label without a prediction waits behind a stub on the
prediction's own primary key, so the two can't miss each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import DAY, Clock, from_datetime
from app.core.compute import beside
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.arrival import Arrival
from app.tracking.checked import CheckedLabels
from app.tracking.ledger import merge, pack
from app.tracking.repository import arrivals, labels, predictions, wire
from app.tracking.repository.labels import Joined
from app.tracking.repository.predictions import KeyTaken
from app.tracking.repository.races import repeated
from app.tracking.schemas import Conflict, LabelsStored
from app.tracking.storing.entries import Entries, Group, Rows
from app.tracking.storing.history import Line, Verdict, enter, said_last
from app.tracking.storing.keys import Keys, encode
from app.tracking.storing.merging import merge_labels
from app.tracking.storing.predictions import Habit, count_lines
from app.tracking.storing.prepare import take_text

EXPIRED = 4  # beside the verdicts of `history`


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """By row: the verdict, and whether it waits."""

    verdict: NDArray[np.int8]
    waits: NDArray[np.bool_]


class LabelStore:
    """Stores checked labels durably; one per process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._habits: dict[int, Habit] = {}

    async def store(self, facts: ModelFacts, batches: Sequence[CheckedLabels]) -> list[LabelsStored]:
        """The answer to each batch, after all are durable."""
        rows = sum(len(batch) for batch in batches)
        group = await beside(rows, partial(_gather, facts, batches))
        habit = self._habits.setdefault(facts.id, Habit())
        return _answers(batches, await repeated(partial(self._store, group, habit)))

    async def _store(self, group: Group, habit: Habit) -> Outcome:
        """Raises `KeyTaken` or a deadlock's error: repeat it then, the habit knows the road."""
        plain = not habit.slow and not _must_read(group)
        try:
            outcome = await self._in_transaction(group, read=not plain)
        except KeyTaken:
            outcome = await self._in_transaction(group, read=True)
        spoken = outcome.verdict[~outcome.waits]
        habit.note(slow=bool(((spoken > Verdict.ACCEPTED) & (spoken < EXPIRED)).any()))
        return outcome

    async def _in_transaction(self, group: Group, *, read: bool) -> Outcome:
        verdict = np.full(len(group), Verdict.ACCEPTED, np.int8)
        waits = np.zeros(len(group), np.bool_)
        async with self._database.transaction() as connection:
            arrival = await arrivals.arrive(connection, self._clock)
            joined = await self._find(connection, group, arrival, verdict, waits)
            if len(joined.row):
                known = await self._known(connection, group, joined, arrival)
                entries = Entries(group, joined, known, arrival)
                if read:
                    history = await labels.history(connection, joined.place.tolist())
                    await beside(len(group), partial(entries.enter, history, verdict))
                else:
                    entries.take_all(verdict)
                await self._append(connection, arrival, group, entries)
        return Outcome(verdict, waits)

    async def _find(
        self, connection: Any, group: Group, arrival: Arrival, verdict: NDArray[np.int8], waits: NDArray[np.bool_]
    ) -> Joined:
        """The predictions that are there; the labels of the others have been put to wait or given up."""
        found = await labels.find(connection, group.names)
        there = found.place >= 0
        joined = found.take(there)
        absent = np.ones(len(group.names), np.bool_)
        absent[joined.row] = False
        if not absent.any():
            return joined
        unknown = absent.copy()
        unknown[found.row] = False
        expired = unknown & _past_retention(group, arrival)
        verdict[expired[group.of]] = EXPIRED
        asked = np.flatnonzero(absent & ~expired)
        if not asked.size:
            return joined
        late = await self._wait(connection, group, arrival, asked, verdict, waits)
        return _together(joined, late)

    async def _known(self, connection: Any, group: Group, joined: Joined, arrival: Arrival) -> NDArray[np.int64]:
        """By row: when the label became known; in an import no earlier than its prediction was."""
        if group.batch.known_at is None:
            return np.full(len(group), arrival.us, np.int64)
        there = np.full(len(group.names), np.iinfo(np.int64).min)
        there[joined.row] = await labels.predictions_known_at(connection, joined)
        known: NDArray[np.int64] = np.maximum(group.batch.known_at, there[group.of])
        return known

    async def _wait(
        self,
        connection: Any,
        group: Group,
        arrival: Arrival,
        asked: Rows,
        verdict: NDArray[np.int8],
        waits: NDArray[np.bool_],
    ) -> Joined:
        """Puts the labels of the keys `asked` to wait, but for those whose prediction has come meanwhile.

        From here on each of these keys is locked: by our stub, or because we looked at what stands there.
        """
        names = [group.names[key] for key in asked]
        new = await predictions.put_stubs(connection, names, arrival.us)
        gone = np.array(await predictions.erased(connection, group.facts.id, names))
        if gone.any():
            await predictions.drop_stubs(connection, [group.names[key] for key in asked[gone]])
            verdict[np.isin(group.of, asked[gone])] = EXPIRED
            asked = asked[~gone]
        old = [key for key in asked.tolist() if group.names[key] not in new]
        come = await labels.find(connection, [group.names[key] for key in old])
        come = replace(come, row=np.array(old, np.intp)[come.row]).take(come.place >= 0)
        waiting_keys = np.setdiff1d(asked, come.row, assume_unique=True)
        if waiting_keys.size:
            stood = await labels.waiting(connection, [group.names[key] for key in old])
            mask = np.zeros(len(group.names), np.bool_)
            mask[waiting_keys] = True
            rows = np.flatnonzero(mask[group.of])
            waits[rows] = True
            kept = _let_wait(group, rows, stood, arrival, verdict)
            if kept:
                await labels.wait(connection, group.facts.id, kept, arrival.us)
        return come

    async def _append(self, connection: Any, arrival: Arrival, group: Group, entries: Entries) -> None:
        lines = entries.lines()
        if not len(lines.place):
            return
        if group.facts.task is Task.MULTICLASS:
            stored = await labels.scores(connection, [group.names[key] for key in np.unique(group.of[entries.rows()])])
            if not stored.keys() >= set(lines.place.tolist()):
                raise KeyTaken  # a prediction was erased since we found it: look again
            wide = wire.matrix([stored[place] for place in lines.place.tolist()], len(group.facts.classes))
            lines = replace(lines, scores=wide)
        await labels.replace(connection, entries.replaced())
        await labels.append(connection, group.facts.id, lines)
        counted = await beside(len(group), partial(count_lines, group.facts, lines))
        kind = arrivals.LABELS if group.batch.known_at is None else arrivals.IMPORTED
        changed = entries.changed(lines)
        if changed is not None:
            counted = merge([counted, changed])
        await arrivals.add_delta(connection, arrival, group.facts.id, kind=kind, body=pack(counted))


def _gather(facts: ModelFacts, batches: Sequence[CheckedLabels]) -> Group:
    batch = merge_labels(batches)
    keys = encode(facts.id, batch.ids)
    leads = keys.first == np.arange(len(keys.first))
    number = np.cumsum(leads) - 1
    of = np.empty(len(batch), np.intp)
    of[keys.rows] = number
    names = _distinct(keys, leads)
    return Group(facts, batch, names, of, keys.rows[leads], np.sort(keys.rows[~leads]))


def _distinct(keys: Keys, leads: NDArray[np.bool_]) -> list[bytes]:
    return keys.tolist() if leads.all() else keys.take(leads).tolist()


def _must_read(group: Group) -> bool:
    """A correction of a label in the same group needs the history's rules; one of an earlier label will find out."""
    correction = group.batch.correction
    return correction is not None and bool(correction[group.repeats].any())


def _past_retention(group: Group, arrival: Arrival) -> NDArray[np.bool_]:
    """By key: whether the truth is older than any prediction that could still come."""
    oldest = arrival.us - group.facts.retention_days * DAY
    past: NDArray[np.bool_] = group.batch.event_at[group.first] < oldest
    return past


def _let_wait(
    group: Group, rows: Rows, stood: dict[bytes, labels.Waiting], arrival: Arrival, verdict: NDArray[np.int8]
) -> list[tuple[bytes, float, int, int]]:
    """Decides about labels without a prediction; those that wait from now on, in key order.

    Only the label that counts waits: what it corrects has never been part of any number, so it leaves no history.
    """
    batch = group.batch
    said: dict[int, list[Line]] = {}
    touched: dict[int, Line] = {}
    for row in rows.tolist():
        key = int(group.of[row])
        if key not in said:
            before = stood.get(group.names[key])
            said[key] = [] if before is None else [Line(0, before.actual, from_datetime(before.known_at))]
        known = arrival.us if batch.known_at is None else int(batch.known_at[row])
        correction = batch.correction is not None and bool(batch.correction[row])
        actual, replay = float(batch.actual[row]), batch.known_at is not None
        verdict[row], _ = enter(said[key], actual, known, correction=correction, replay=replay, row=row)
        touched[key] = said_last(said[key])
    return [
        (group.names[key], line.actual, int(batch.event_at[line.row]), line.known_at)
        for key, line in sorted(touched.items())
        if line.fresh
    ]


def _together(first: Joined, second: Joined) -> Joined:
    if not len(second.row):
        return first
    return Joined(
        np.concatenate((first.row, second.row)),
        np.concatenate((first.place, second.place)),
        np.concatenate((first.predicted_at, second.predicted_at)),
        np.concatenate((first.score, second.score)),
        np.concatenate((first.context_id, second.context_id)),
        np.concatenate((first.predicted, second.predicted)),
    )


def _answers(batches: Sequence[CheckedLabels], outcome: Outcome) -> list[LabelsStored]:
    edges = np.cumsum([0, *(len(batch) for batch in batches)]).tolist()
    return [
        _answer(batch, outcome.verdict[low:high], outcome.waits[low:high])
        for batch, low, high in zip(batches, edges[:-1], edges[1:], strict=True)
    ]


def _answer(batch: CheckedLabels, verdict: NDArray[np.int8], waits: NDArray[np.bool_]) -> LabelsStored:
    counts = np.bincount(verdict, minlength=5).tolist()
    accepted = counts[Verdict.ACCEPTED] + counts[Verdict.CORRECTED]
    waiting = int(np.count_nonzero(waits & (verdict <= Verdict.CORRECTED)))
    rows = np.flatnonzero(verdict == Verdict.CONFLICT)
    names = take_text(batch.ids, rows).tolist() if rows.size else []
    detail = 'stands with another value; send it with "correction": true to replace that'
    return LabelsStored(
        accepted=accepted,
        joined=accepted - waiting,
        waiting=waiting,
        duplicates=counts[Verdict.DUPLICATE],
        conflicts=[Conflict(row, name, detail) for row, name in zip(rows.tolist(), names, strict=True)],
        corrected=counts[Verdict.CORRECTED],
        expired=counts[EXPIRED],
    )
