"""Labels: one transaction for all requests of a group.

As with predictions, the index decides: labels are first copied as revision 0 of their place. Where one stands already,
the transaction starts anew with the histories read beside it. A label without a prediction waits behind a stub on the
prediction's own primary key, so the two can't miss each other.
"""

import itertools
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
from app.tracking.ledger import Ledger, merge, pack
from app.tracking.repository import arrivals, labels, predictions, wire
from app.tracking.repository.labels import Joined, Lines
from app.tracking.repository.predictions import KeyTaken
from app.tracking.repository.races import repeated
from app.tracking.schemas import Conflict, LabelsStored
from app.tracking.storing.history import Change, Line, Verdict, enter, said_last
from app.tracking.storing.keys import Keys, encode
from app.tracking.storing.merging import merge_labels
from app.tracking.storing.predictions import Habit, count_lines
from app.tracking.storing.prepare import take_text

Rows = NDArray[np.intp]

EXPIRED = 4  # beside the verdicts of `history`


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The labels of a transaction; `names[u]` is a key, in key order, `of[row]` the number of a row's key."""

    facts: ModelFacts
    batch: CheckedLabels
    names: list[bytes]
    of: Rows
    first: Rows  # by key: its first row
    repeats: Rows  # the other rows, in order

    def __len__(self) -> int:
        return len(self.batch)


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
                entries = _Entries(group, joined, known, arrival)
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

    async def _append(self, connection: Any, arrival: Arrival, group: Group, entries: "_Entries") -> None:
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


class _Entries:
    """Labels on their way into the histories of predictions that are there."""

    def __init__(self, group: Group, joined: Joined, known: NDArray[np.int64], arrival: Arrival) -> None:
        self._group = group
        self._joined = joined
        self._known = known  # by row
        self._arrival = arrival
        self._at = np.full(len(group.names), -1, np.intp)  # by key: its place in `joined`
        self._at[joined.row] = np.arange(len(joined.row))
        self._lines: list[tuple[int, Line]] = []  # with their place in `joined`
        self._changes: list[tuple[int, Change]] = []
        self._first: Rows | None = None

    def take_all(self, verdict: NDArray[np.int8]) -> None:
        """Each first row is the first label of its prediction; rows that repeat an id are settled against it."""
        group = self._group
        self._first = group.first[self._joined.row]
        repeats = group.repeats[self._at[group.of[group.repeats]] >= 0]
        actual = group.batch.actual
        same = actual[repeats] == actual[group.first[group.of[repeats]]]
        verdict[repeats] = np.where(same, Verdict.DUPLICATE, Verdict.CONFLICT)

    def enter(self, history: dict[int, list[tuple[int, float, Any]]], verdict: NDArray[np.int8]) -> None:
        """Row by row, in order, against all that was said before."""
        group, batch = self._group, self._group.batch
        places = self._joined.place.tolist()
        at = self._at[group.of]
        rows = np.flatnonzero(at >= 0)
        corrections = np.zeros(len(group), np.bool_) if batch.correction is None else batch.correction
        replay = batch.known_at is not None
        said: dict[int, list[Line]] = {}
        columns = (rows, at[rows], batch.actual[rows], self._known[rows], corrections[rows])
        for row, which, actual, known, correction in zip(*(column.tolist() for column in columns), strict=True):
            past = said.get(which)
            if past is None:
                past = said[which] = _past(history.get(places[which], []))
            verdict[row], change = enter(past, actual, known, correction=correction, replay=replay, row=row)
            if change is not None:
                self._changes.append((which, change))
        self._lines = [(which, line) for which, lines in said.items() for line in lines if line.fresh]

    def rows(self) -> Rows:
        """The rows that become lines."""
        if self._first is not None:
            return self._first
        return np.array([line.row for _, line in self._lines], np.intp)

    def lines(self) -> Lines:
        """What is added to `label`, ordered by place; without `scores`."""
        joined, batch = self._joined, self._group.batch
        rows = self.rows()
        which = self._at[self._group.of[rows]]
        none = np.zeros(len(rows), np.int16)
        revision = none if self._first is not None else np.array([line.revision for _, line in self._lines], np.int16)
        replaces = np.full(len(rows), np.nan)
        if self._first is None:
            replaces[:] = [np.nan if line.replaces is None else line.replaces for _, line in self._lines]
        order = np.lexsort((revision, joined.place[which]))
        rows, which = rows[order], which[order]
        return Lines(
            place=joined.place[which],
            actual=batch.actual[rows],
            replaces=replaces[order],
            event_at=batch.event_at[rows],
            arrived_at=np.full(len(rows), self._arrival.us, np.int64),
            known_at=self._known[rows],
            predicted_at=joined.predicted_at[which],
            score=joined.score[which],
            context_id=joined.context_id[which],
            revision=revision[order],
            predicted=joined.predicted[which],
            scores=None,
        )

    def replaced(self) -> list[tuple[int, int, float]]:
        """Lines in the database that follow a new one: place, revision, the value now before them."""
        last = {(int(self._joined.place[which]), change.revision): change.after for which, change in self._changes}
        return [(place, revision, after) for (place, revision), after in last.items()]

    def changed(self, lines: Lines) -> Ledger | None:
        """What those lines count differently now."""
        if not self._changes:
            return None
        which = np.array([which for which, _ in self._changes], np.intp)
        joined = self._joined.take(which)
        line_of = {place: number for number, place in enumerate(lines.place.tolist())}
        mine = [line_of[place] for place in joined.place.tolist()]
        count = len(which)
        moved = Lines(
            place=joined.place,
            actual=np.array([np.nan if change.before is None else change.before for _, change in self._changes]),
            replaces=np.array([change.after for _, change in self._changes]),
            event_at=np.zeros(count, np.int64),
            arrived_at=np.zeros(count, np.int64),
            known_at=np.array([change.known_at for _, change in self._changes], np.int64),
            predicted_at=joined.predicted_at,
            score=joined.score,
            context_id=joined.context_id,
            revision=np.zeros(count, np.int16),
            predicted=joined.predicted,
            scores=None if lines.scores is None else lines.scores[mine],
        )
        return count_lines(self._group.facts, moved)


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


def _past(said: Sequence[tuple[int, float, Any]]) -> list[Line]:
    """Stored lines in order; what they replace is the value before them."""
    past = [Line(revision, actual, from_datetime(known_at)) for revision, actual, known_at in said]
    for before, line in itertools.pairwise(past):
        line.replaces = before.actual
    return past


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
