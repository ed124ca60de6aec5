"""A batch of a file as the column form of a request. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from app.cli.importing.errors import FileProblem
from app.cli.importing.layout import Layout
from app.cli.importing.table import Batch, Kind

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
# Seconds, milliseconds, microseconds or nanoseconds since the epoch: whichever puts the number between 1973 and 5138.
_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))
_OLDEST_S = 1e8


@dataclass(frozen=True, slots=True)
class Target:
    """What the rows are for: the model's task and classes, and how times without a zone are meant."""

    task: str  # "binary" | "multiclass" | "regression"
    classes: tuple[str, ...] = ()
    zone: tzinfo = UTC
    backfill: bool = True  # each row is known since its own timestamp, as an import; else since now

    @property
    def classifies(self) -> bool:
        return self.task != "regression"


def kinds_to_read(layout: Layout, surveyed: Mapping[str, Kind], target: Target) -> dict[str, Kind]:
    """How each column must be read: ids, classes, versions and segments are text, whatever they look like."""
    kinds = dict(surveyed)
    as_text = {"prediction_id", "version", "timestamp", "subject"} | (
        {"predicted", "actual"} if target.classifies else set()
    )
    for field, column in layout.fields.items():
        if field in as_text:
            kinds[column] = Kind.TEXT
        elif field == "correction":
            kinds[column] = Kind.BOOLEAN
        else:
            kinds[column] = Kind.NUMBER
    for column in layout.segments.values():
        kinds[column] = Kind.TEXT
    for column in layout.scores.values():
        kinds[column] = Kind.NUMBER
    return kinds


def body(batch: Batch, layout: Layout, target: Target, path: Path) -> dict[str, Any]:
    """The request; a column without any value in these rows is left out."""
    columns: dict[str, Any] = {}
    for field, column in layout.fields.items():
        values = batch.columns[column]
        if field == "timestamp":
            values = _times(values, batch, target.zone, path, column)
        elif field in {"predicted", "actual"} and target.classifies:
            values = _class_labels(values, target.classes)
        elif field == "correction":
            values = [bool(value) for value in values]
        if any(value is not None for value in values):
            columns[field] = values
    for group, members in (("scores", layout.scores), ("features", layout.features), ("segment", layout.segments)):
        filled = {name: batch.columns[column] for name, column in members.items() if _any(batch.columns[column])}
        if filled:
            columns[group] = filled
    return {"columns": columns, "import": True} if target.backfill else {"columns": columns}


def _any(values: Sequence[Any]) -> bool:
    return any(value is not None for value in values)


def _times(values: Sequence[Any], batch: Batch, zone: tzinfo, path: Path, column: str) -> list[str | None]:
    texts: list[str | None] = []
    for value, line in zip(values, batch.lines, strict=True):
        try:
            texts.append(None if value is None else _moment(value, zone))
        except (ValueError, OverflowError) as error:
            raise FileProblem(f"{path}:{line}: column {column!r}: {str(value)[:60]!r} is not a time") from error
    return texts


def _moment(value: Any, zone: tzinfo) -> str:
    """RFC 3339 of a datetime, an ISO 8601 text, or a number since the epoch."""
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        return value
    if not isinstance(value, datetime):
        value = _since_epoch(float(value)) if _is_number(str(value)) else datetime.fromisoformat(str(value).strip())
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return str(value.astimezone(UTC).isoformat().replace("+00:00", "Z"))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d{9,19}(\.\d+)?", text.strip()) is not None


def _since_epoch(number: float) -> datetime:
    for limit, per_second in _UNITS:
        if number < limit:
            seconds = number / per_second
            if seconds < _OLDEST_S:
                break
            return datetime.fromtimestamp(seconds, UTC)
    raise ValueError(number)


def _class_labels(values: Sequence[str | None], classes: Sequence[str]) -> list[str | None]:
    """A class that a spreadsheet or pandas wrote as a decimal (`1.0`, `True`) is the model's `1`, `true`."""
    known = set(classes)
    names: dict[str | None, str | None] = {
        value: value if value is None or value in known else _same_class(value, known) for value in set(values)
    }
    return [names[value] for value in values]


def _same_class(text: str, known: set[str]) -> str:
    candidates = [text.removesuffix(".0"), text.lower(), {"true": "1", "false": "0"}.get(text.lower(), text)]
    return next((candidate for candidate in candidates if candidate in known), text)
