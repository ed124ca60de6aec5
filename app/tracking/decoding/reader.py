"""Columns of plain Python values to arrays, and what is wrong with them.

A `Reader` either trusts its values (a typed decoder has seen to their types) or looks at the type of each. Every column
has n values, None where a row has none.
"""

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.tracking.batch import Coded, Feature, Text
from app.tracking.decoding import timestamps
from app.tracking.decoding.errors import malformed
from app.tracking.decoding.values import booleans, canonical, coded, number_feature, present, text
from app.tracking.places import Findings

Path = tuple[str, ...]
Values = Sequence[Any]

_NUMBER, _TEXT, _FLAG = frozenset({float, int}), frozenset({str}), frozenset({bool})
_VERSION, _LABEL = frozenset({str, int}), frozenset({str, int, bool})
_WANTED = {
    _NUMBER: "a number",
    _TEXT: "text",
    _FLAG: "true or false",
    _VERSION: "text or a whole number",
    _LABEL: "a label: text, a whole number, true or false",
}
_ABSENT = frozenset({type(None)})
_KINDS = {float: "number", int: "number", str: "category", bool: "boolean"}


class Reader:
    """Gathers `findings`; a value that is wrong becomes a missing one, so that the others can be looked at too."""

    def __init__(self, *, typed: bool) -> None:
        self.typed = typed
        self.findings = Findings()
        self.broken: str | None = None  # why the body was no JSON, though its values could be looked at

    def ended(self) -> None:
        """All values were looked at: a body that was broken has to be refused, if for nothing else then for that."""
        if self.broken is not None and not self.findings:
            raise malformed("json_invalid", self.broken)

    def numbers(self, values: Values, path: Path) -> NDArray[np.float64]:
        """Missing ones are NaN; a NaN or an infinity that was sent is a finding."""
        if self.typed:
            return np.array(values, np.float64)
        column = np.array([_float(value) for value in self._only(_NUMBER, values, path)], np.float64)
        self.findings.rows(np.flatnonzero(np.isinf(column)).tolist(), path, "not_finite", "must be a finite number")
        column[np.isinf(column)] = nan
        return column

    def texts(self, values: Values, path: Path, *, required: bool = False) -> Text:
        """Missing ones are empty."""
        if not self.typed:
            values = self._only(_TEXT, values, path)
        if required:
            self.required(values, path)
        return text([value or "" for value in values] if None in values else values)

    def times(self, values: Values, path: Path, default: int, *, required: bool = False) -> NDArray[np.int64]:
        """Microseconds since the epoch, `default` for missing ones."""
        if not self.typed:
            values = self._only(_TEXT, values, path)
        if required:
            self.required(values, path)
        given = values
        if None in values:
            if values.count(None) == len(values):
                return np.full(len(values), default, np.int64)
            given = [value or "" for value in values]
        times, unread = timestamps.parse(given)
        if unread:
            times[unread] = default
            wrong = (row for row in unread if values[row] is not None)
            self.findings.rows(wrong, path, "not_a_timestamp", "must be an RFC 3339 time such as 2026-01-01T00:00:00Z")
        return times

    def labels(self, values: Values, path: Path, *, required: bool = False) -> Coded:
        """Names of classes and values of segments, which may be written 1 or true for "1" or "true"."""
        if not self.typed:
            values = self._only(_LABEL, values, path)
        if required:
            self.required(values, path)
        return coded(canonical(values))

    def versions(self, values: Values, path: Path) -> Coded:
        return coded(canonical(values if self.typed else self._only(_VERSION, values, path)))

    def flags(self, values: Values, path: Path) -> NDArray[np.bool_] | None:
        """Missing ones are false; None where all are."""
        if not self.typed:
            values = self._only(_FLAG, values, path)
        return np.array([value is True for value in values], np.bool_) if True in values else None

    def feature(self, values: Values, path: Path, kind: str | None) -> Feature | None:
        """A column of `kind`, or of the kind of its first value where that is open; None where no row has a value."""
        match kind or self._kind_of_first(values, path):
            case "number":
                return number_feature(self.numbers(values, path))
            case "boolean":
                return present(booleans(values if self.typed else self._only(_FLAG, values, path)))
            case "category":
                return present(coded(values if self.typed else self._only(_TEXT, values, path)))
        return None

    def _kind_of_first(self, values: Values, path: Path) -> str | None:
        first = next(((row, value) for row, value in enumerate(values) if value is not None), None)
        if first is None:
            return None
        row, value = first
        if type(value) not in _KINDS:
            self.findings.rows([row], path, "wrong_type", "must be a number, a text, true, false or null")
        return _KINDS.get(type(value))

    def _only(self, allowed: frozenset[type], values: Values, path: Path) -> Values:
        """The values with None in place of those of another type, and of texts that are none."""
        good = allowed | _ABSENT
        if not set(map(type, values)) <= good:
            wrong = (row for row, value in enumerate(values) if type(value) not in good)
            self.findings.rows(wrong, path, "wrong_type", f"must be {_WANTED[allowed]}")
            values = [value if type(value) in allowed else None for value in values]
        if self.broken is not None and str in allowed:  # only Python's own reader lets half characters through
            halves = {row for row, value in enumerate(values) if isinstance(value, str) and not is_unicode(value)}
            self.findings.rows(sorted(halves), path, "surrogate", "holds half of a surrogate pair")
            values = [None if row in halves else value for row, value in enumerate(values)]
        return values

    def required(self, values: Values, path: Path) -> None:
        """A value that was wrong has been reported as that."""
        if None in values:
            wrong = {finding.row for finding in self.findings if finding.path == path}
            rows = (row for row, value in enumerate(values) if value is None and row not in wrong)
            self.findings.rows(rows, path, "missing", f"{path[-1]} is required")


def is_unicode(value: str) -> bool:
    """Whether the text can be written as UTF-8: it holds no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _float(value: float | None) -> float:
    """NaN for none; what no double holds, and a NaN that was sent, become infinite."""
    if value is None:
        return nan
    try:
        return float(value) if value == value else float("inf")  # noqa: PLR0124  NaN alone differs from itself
    except OverflowError:
        return float("inf")
