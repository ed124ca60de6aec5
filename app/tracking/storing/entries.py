"""Labels of a group on their way into the histories of the predictions that are there."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import from_datetime
from app.models.facts import ModelFacts
from app.tracking.arrival import Arrival
from app.tracking.checked import CheckedLabels
from app.tracking.ledger import Ledger
from app.tracking.repository.labels import Joined, Lines
from app.tracking.storing.history import Change, Line, Verdict, enter
from app.tracking.storing.predictions import count_lines

Rows = NDArray[np.intp]


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


class Entries:
    """Decides what each label becomes, and gives the lines to store and what they count."""

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


def _past(said: Sequence[tuple[int, float, Any]]) -> list[Line]:
    """Stored lines in order; what they replace is the value before them."""
    past = [Line(revision, actual, from_datetime(known_at)) for revision, actual, known_at in said]
    for before, line in itertools.pairwise(past):
        line.replaces = before.actual
    return past
