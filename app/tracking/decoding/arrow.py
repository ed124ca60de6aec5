"""Arrow IPC streams. Imported only where pyarrow is installed.

Columns as in column JSON: `features`, `segment` and `scores` are structs, or flat columns with the group's name before
the first dot (`features.amount`), which is what data frames write.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import types

from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.batch import MISSING, Coded, Feature, LabelBatch, PredictionBatch, Text
from app.tracking.decoding.arrow_stream import read_stream
from app.tracking.decoding.arrow_values import ArrowReader
from app.tracking.decoding.columns import MAX_NAMES, Terms, one_value
from app.tracking.decoding.reader import Path
from app.tracking.decoding.shapes import ID_NAMES, label_cells, prediction_cells
from app.tracking.places import Finding, Findings, Form, Origin

Floats = NDArray[np.float64]
_GROUPS = ("features", "segment", "scores")


@dataclass(frozen=True, slots=True)
class _Table:
    n: int
    fields: Mapping[str, pa.Array]  # the id as `prediction_id`
    groups: Mapping[str, Mapping[str, pa.Array]]
    origin: Origin


def predictions(body: bytes, facts: ModelFacts, terms: Terms) -> tuple[PredictionBatch, Findings]:
    """The batch and what is wrong with its form; raises as `arrow_stream.read_stream`."""
    reader = ArrowReader()
    nested = _GROUPS if facts.task is Task.MULTICLASS else _GROUPS[:2]
    table = _table(body, terms, Origin(Form.ARROW), (*prediction_cells(facts.task),), nested, reader.findings)
    predicted, score = _outcome(table, facts, reader)
    times = _times(table, terms, reader)
    scores = table.groups.get("scores", {})
    batch = PredictionBatch(
        ids=reader.texts(table.fields["prediction_id"], ("prediction_id",), required=True),
        predicted_at=times,
        version=_version(table, reader),
        predicted=predicted,
        score=score,
        scores=_stacked(scores, reader),
        features=_features(table, reader),
        segments=_segments(table, reader),
        subject=_subject(table, reader),
        known_at=times if terms.imported else None,
        score_classes=tuple(scores),
        origin=table.origin,
    )
    return batch, reader.findings


def labels(body: bytes, facts: ModelFacts, terms: Terms) -> tuple[LabelBatch, Findings]:
    """As `predictions`."""
    reader = ArrowReader()
    table = _table(body, terms, Origin(Form.ARROW, "labels"), (*label_cells(facts.task),), (), reader.findings)
    fields = table.fields
    if "actual" not in fields:
        raise table.origin.refuse([Finding(None, ("actual",), "missing", "the column is required")])
    times = _times(table, terms, reader)
    batch = LabelBatch(
        ids=reader.texts(fields["prediction_id"], ("prediction_id",), required=True),
        actual=_actual(fields["actual"], facts, reader),
        event_at=times,
        correction=reader.flags(fields["correction"], ("correction",)) if "correction" in fields else None,
        known_at=times if terms.imported else None,
        origin=table.origin,
    )
    return batch, reader.findings


def _table(
    body: bytes, terms: Terms, origin: Origin, plain: tuple[str, ...], nested: tuple[str, ...], findings: Findings
) -> _Table:
    """The columns by their names; what has no place in a row, or stands there twice, is a finding."""
    batch = read_stream(body, terms, origin)
    fields: dict[str, pa.Array] = {}
    groups: dict[str, dict[str, pa.Array]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        group, dot, member = name.partition(".")
        if group in nested and dot:
            _put(groups.setdefault(group, {}), member, column, (group, member), findings)
        elif name in nested:
            _put_struct(groups.setdefault(name, {}), name, column, findings)
        elif name in plain or name in ID_NAMES:
            _put(fields, name, column, (name,), findings)
        else:
            findings.whole((name,), "unknown_field", f"not a field of {origin.noun}")
    named = [name for name in ID_NAMES if name in fields]
    if len(named) != 1:
        code = "contradiction" if named else "missing"
        raise origin.refuse([Finding(None, ("prediction_id",), code, f"needs one column of {', '.join(ID_NAMES)}")])
    if sum(map(len, groups.values())) > MAX_NAMES:
        raise origin.refuse([Finding(None, (), "too_many", f"more than {MAX_NAMES:,} columns")])
    fields["prediction_id"] = fields.pop(named[0])
    return _Table(batch.num_rows, fields, groups, replace(origin, id_name=named[0]))


def _put(columns: dict[str, pa.Array], name: str, column: pa.Array, path: Path, findings: Findings) -> None:
    """A column of Arrow's null type has no values, as if it were not there."""
    if name in columns:
        findings.whole(path, "repeated", "there are two columns of this name")
    elif not types.is_null(column.type) or name in ID_NAMES:
        columns[name] = column


def _put_struct(columns: dict[str, pa.Array], group: str, column: pa.Array, findings: Findings) -> None:
    if types.is_null(column.type):
        return
    if not types.is_struct(column.type):
        findings.whole((group,), "wrong_type", f"must be a struct, or columns named {group}.…")
        return
    for field, values in zip(column.type, column.flatten(), strict=True):
        _put(columns, field.name, values, (group, field.name), findings)


def _times(table: _Table, terms: Terms, reader: ArrowReader) -> NDArray[np.int64]:
    column = table.fields.get("timestamp")
    if column is not None:
        return reader.times(column, ("timestamp",), terms.now_us, required=terms.imported)
    if terms.imported:
        raise table.origin.refuse([Finding(None, ("timestamp",), "missing", "an import needs timestamps")])
    return np.full(table.n, terms.now_us, np.int64)


def _version(table: _Table, reader: ArrowReader) -> Coded:
    column = table.fields.get("version")
    return Coded(np.full(table.n, MISSING, np.int32), ()) if column is None else reader.names(column, ("version",))


def _outcome(table: _Table, facts: ModelFacts, reader: ArrowReader) -> tuple[Coded | None, Floats | None]:
    """Predicted class and score; for a regression one value."""
    predicted, score = table.fields.get("predicted"), table.fields.get("score")
    number = None if score is None else reader.numbers(score, ("score",))
    if facts.task is not Task.REGRESSION:
        return None if predicted is None else reader.names(predicted, ("predicted",)), number
    other = None if predicted is None else reader.numbers(predicted, ("predicted",))
    return None, one_value(number, other, reader.findings)


def _actual(column: pa.Array, facts: ModelFacts, reader: ArrowReader) -> Coded | Floats:
    if facts.task is Task.REGRESSION:
        return reader.numbers(column, ("actual",), required=True)
    return reader.names(column, ("actual",), required=True)


def _stacked(scores: Mapping[str, pa.Array], reader: ArrowReader) -> Floats | None:
    if not scores:
        return None
    return np.stack([reader.numbers(column, ("scores", name)) for name, column in scores.items()], axis=1)


def _features(table: _Table, reader: ArrowReader) -> dict[str, Feature]:
    read = {
        name: reader.feature(column, ("features", name)) for name, column in table.groups.get("features", {}).items()
    }
    return {name: column for name, column in read.items() if column is not None}


def _segments(table: _Table, reader: ArrowReader) -> dict[str, Coded]:
    read = {key: reader.names(column, ("segment", key)) for key, column in table.groups.get("segment", {}).items()}
    return {key: column for key, column in read.items() if column.values}


def _subject(table: _Table, reader: ArrowReader) -> Text | None:
    column = table.fields.get("subject")
    subject = None if column is None else reader.texts(column, ("subject",))
    return subject if subject is not None and subject.data else None
