"""What a label does to the labels that came before it: pure, one prediction at a time.

A history is ordered by (known_at, receipt); the last one counts. Each line knows the value before it (`replaces`), so
that it counts by itself. An older correction (an import) enters in the middle: the line after it then replaces it.
"""

from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    ACCEPTED = 0
    CORRECTED = 1
    DUPLICATE = 2
    CONFLICT = 3


@dataclass(slots=True)
class Line:
    """A label of one prediction; `fresh` lines are not in the database yet."""

    revision: int
    actual: float
    known_at: int  # us
    replaces: float | None = None
    fresh: bool = False
    row: int = -1  # of the batch; fresh lines only


@dataclass(frozen=True, slots=True)
class Change:
    """A line in the database that now replaces another value."""

    revision: int
    known_at: int
    before: float | None
    after: float


def enter(
    history: list[Line], actual: float, known_at: int, *, correction: bool, replay: bool, row: int
) -> tuple[Verdict, Change | None]:
    """Puts a label into the history (in place), or says why not.

    The value that counts, said again, is a duplicate; another value is a conflict, unless it is said to be a
    correction. A correction that repeats the value before it is a duplicate too. In a `replay` (an import) it still
    gets its line, which counts nothing: an older correction that comes later must not hide it.
    """
    if not history:
        history.append(Line(0, actual, known_at, fresh=True, row=row))
        return Verdict.ACCEPTED, None
    if not correction:
        return (Verdict.DUPLICATE if history[-1].actual == actual else Verdict.CONFLICT), None
    place = len(history)
    while place and history[place - 1].known_at > known_at:
        place -= 1
    before = history[place - 1].actual if place else None
    told = replay and any(line.known_at == known_at and line.actual == actual for line in history)
    if told or (before == actual and not replay):
        return Verdict.DUPLICATE, None
    revision = 1 + max(line.revision for line in history)
    history.insert(place, Line(revision, actual, known_at, before, fresh=True, row=row))
    return (Verdict.DUPLICATE if before == actual else Verdict.CORRECTED), _follow(history, place + 1, actual)


def said_last(history: list[Line]) -> Line:
    """The line from which on the value that counts has counted."""
    last = history[-1]
    for line in reversed(history):
        if line.actual != last.actual:
            break
        last = line
    return last


def _follow(history: list[Line], place: int, value: float) -> Change | None:
    """The line after a new one replaces it."""
    if place == len(history):
        return None
    line = history[place]
    before, line.replaces = line.replaces, value
    return None if line.fresh else Change(line.revision, line.known_at, before, value)
