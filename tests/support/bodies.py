"""The same rows in each of the forms in which a request may bring them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from app.core.clock import from_datetime
from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.decoding.decode import ARROW, JSON, NDJSON
from tests.support.times import NOON

NOW = from_datetime(NOON)
CLASSES = {Task.BINARY: ("0", "1"), Task.MULTICLASS: ("cat", "dog", "owl"), Task.REGRESSION: ()}
GROUPS = ("features", "segment", "scores")

Row = Mapping[str, Any]


def facts_of(
    task: Task = Task.BINARY,
    *,
    classes: Sequence[str] | None = None,
    positive: int = 1,
    threshold: float = 0.5,
    allow_new_classes: bool = False,
    schema: Mapping[str, str] | None = None,
    versions: Mapping[str, int] | None = None,
    default_version: str = "1",
    retention_days: int = 730,
) -> ModelFacts:
    """A model as decoding and the rules see it, without a database."""
    return ModelFacts(
        id=1,
        model_id="m1",
        task=task,
        classes=CLASSES[task] if classes is None else tuple(classes),
        positive=positive,
        threshold=threshold,
        allow_new_classes=allow_new_classes,
        schema=schema or {},
        versions=versions or {"1": 11, "2": 12},
        default_version=default_version,
        retention_days=retention_days,
        revision=1,
    )


def as_rows(rows: Sequence[Row], noun: str = "predictions", **frame: Any) -> tuple[bytes, str]:
    return json.dumps({noun: rows, **frame}).encode(), JSON


def as_columns(rows: Sequence[Row], noun: str = "predictions", **frame: Any) -> tuple[bytes, str]:
    return json.dumps({"columns": columns_of(rows), **frame}).encode(), JSON


def as_lines(rows: Sequence[Row], noun: str = "predictions") -> tuple[bytes, str]:
    return "".join(json.dumps(row) + "\n" for row in rows).encode(), NDJSON


def as_arrow(rows: Sequence[Row], noun: str = "predictions") -> tuple[bytes, str]:
    """Groups as structs; label columns that mix texts with others, which Arrow can't, as text."""
    arrays = {}
    for name, values in columns_of(rows).items():
        if name in GROUPS:
            if not values:
                continue  # a struct without fields has no length of its own
            members = {key: _array(column) for key, column in values.items()}
            arrays[name] = pa.StructArray.from_arrays(list(members.values()), list(members))
        else:
            arrays[name] = _array(values)
    return stream(pa.table(arrays)), ARROW


def stream(table: pa.Table, **options: Any) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def columns_of(rows: Sequence[Row]) -> dict[str, Any]:
    """What column JSON holds; None where a row has no such value."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
    for group in GROUPS:
        if group in columns:
            objects = [value or {} for value in columns[group]]
            members = dict.fromkeys(name for value in objects for name in value)
            columns[group] = {name: [value.get(name) for value in objects] for name in members}
    return columns


def _array(values: Sequence[Any]) -> pa.Array:
    if len({type(value) for value in values if value is not None} - {float, int}) > 1:
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(values)


FORMS: Mapping[str, Callable[..., tuple[bytes, str]]] = {
    "rows": as_rows,
    "columns": as_columns,
    "lines": as_lines,
    "arrow": as_arrow,
}
