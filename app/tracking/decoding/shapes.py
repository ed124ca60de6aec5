"""What the rows of one model look like, as msgspec types made once: decoding checks names and types at C speed.

Where a schema is declared it gives the features' names and kinds; else they are learned from the rows that came, as are
the segments' keys. A body that doesn't fit its shape is no error yet: the loose road (`loose`) reads it, says what is
wrong, or teaches the shape something new.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import nan
from typing import Any

import msgspec

from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.batch import Numbers, PredictionBatch
from app.tracking.decoding.values import BOOLEANS
from app.tracking.places import Form

ID_NAMES = ("prediction_id", "inference_id", "sample_id")
MAX_LEARNED = 256  # names in a learned shape; beyond that it starts anew with the latest rows
MAX_SHAPES = 1024  # models whose shapes are kept
HEAD = 4096  # bytes of a body in which the first row's id is looked for

NUMBER, TEXT, FLAG = float | None, str | None, bool | None
VERSION, LABEL = str | int | None, str | int | bool | None
_KINDS = {"number": NUMBER, "category": TEXT, "boolean": FLAG}

Cells = Mapping[str, Any]  # name → type of one value
Field = tuple[str, Any] | tuple[str, Any, Any]  # as msgspec.defstruct takes it


def prediction_cells(task: Task) -> dict[str, Any]:
    """The plain fields of a prediction, beside its id."""
    cells: dict[str, Any] = {"timestamp": TEXT, "version": VERSION, "subject": TEXT}
    if task is Task.REGRESSION:
        return cells | {"predicted": NUMBER, "score": NUMBER}
    return cells | {"predicted": LABEL} | ({"score": NUMBER} if task is Task.BINARY else {})


def label_cells(task: Task) -> dict[str, Any]:
    """The plain fields of a label, beside its id."""
    return {"actual": NUMBER if task is Task.REGRESSION else LABEL, "timestamp": TEXT, "correction": FLAG}


class Shape:
    """The types for one model's rows; `groups` are the objects inside a prediction, by field."""

    def __init__(self, facts: ModelFacts, kinds: Mapping[str, str], keys: tuple[str, ...]) -> None:
        self.facts = facts
        self.kinds = kinds
        self.keys = keys
        self.cells = {"predictions": prediction_cells(facts.task), "labels": label_cells(facts.task)}
        self.groups: dict[str, Cells] = {
            "features": {name: _KINDS[kind] for name, kind in kinds.items()},
            "segment": dict.fromkeys(keys, LABEL),
        }
        if facts.task is Task.MULTICLASS:
            self.groups["scores"] = dict.fromkeys(facts.classes, NUMBER)
        self.numeric = set(kinds.values()) == {"number"}
        self.decoder = lru_cache(maxsize=16)(self._decoder)  # forms × nouns × names of the id

    def _decoder(self, form: Form, noun: str, id_name: str) -> msgspec.json.Decoder[Any] | None:
        """Of a whole body, or of a line; None where names can't be those of a type's fields."""
        listed = form is Form.COLUMNS
        try:
            row = _row_type(id_name, self.cells[noun], self.groups if noun == "predictions" else {}, listed=listed)
        except ValueError:
            return None
        if form is Form.LINES:
            return msgspec.json.Decoder(row)
        rows, name = (row, "columns") if listed else (list[row], noun)  # type: ignore[valid-type]  # made just now
        fields: list[Field] = [("rows", rows), ("imported", bool, False), ("version", VERSION, None)]
        return msgspec.json.Decoder(_struct("Body", fields, {"rows": name, "imported": "import"}))


_shapes: dict[str, Shape] = {}


def shape_of(facts: ModelFacts) -> Shape:
    """The model's shape as far as it is known."""
    shape = _shapes.get(facts.model_id)
    if shape is not None and (shape.facts is facts or shape.facts == facts):
        return shape
    kinds = facts.schema or (shape.kinds if shape is not None and not shape.facts.schema else {})
    return _keep(Shape(facts, kinds, shape.keys if shape is not None else ()))


def learn(shape: Shape, batch: PredictionBatch) -> None:
    """Widens the shape so that rows like these fit the next time."""
    kinds = shape.facts.schema or _within(shape.kinds, _kinds_of(batch))
    keys = tuple(_within(dict.fromkeys(shape.keys, ""), dict.fromkeys(batch.segments, "")))
    if kinds != shape.kinds or keys != shape.keys:
        _keep(Shape(shape.facts, kinds, keys))


def id_name(body: bytes) -> str:
    """The name under which the rows carry their id, as far as the beginning of the body tells."""
    head = body[:HEAD]
    return next((name for name in ID_NAMES if b'"%b"' % name.encode() in head), ID_NAMES[0])


def _keep(shape: Shape) -> Shape:
    _shapes.pop(shape.facts.model_id, None)
    while len(_shapes) >= MAX_SHAPES:
        _shapes.pop(next(iter(_shapes)))
    _shapes[shape.facts.model_id] = shape
    return shape


def _kinds_of(batch: PredictionBatch) -> dict[str, str]:
    return {
        name: "number" if isinstance(column, Numbers) else "boolean" if column.values is BOOLEANS else "category"
        for name, column in batch.features.items()
    }


def _within(known: Mapping[str, str], new: Mapping[str, str]) -> Mapping[str, str]:
    return {**known, **new} if len(known.keys() | new.keys()) <= MAX_LEARNED else new


def _row_type(id_name: str, cells: Cells, groups: Mapping[str, Cells], *, listed: bool) -> type[msgspec.Struct]:
    fields: list[Field] = [("prediction_id", list[str] if listed else str)]
    fields += [(name, _listed(cell) if listed else cell, None) for name, cell in cells.items()]
    fields += [(name, _group_type(members, listed=listed) | None, None) for name, members in groups.items()]
    return _struct("Row", fields, {"prediction_id": id_name})


def _group_type(cells: Cells, *, listed: bool) -> Any:
    """Fields are numbered, since names may be any text; raises ValueError where one would have to be escaped.

    A missing number of a row is NaN at once, which arrays take faster than None.
    """
    fields: list[Field] = [
        (f"f{number}", _listed(cell), None) if listed else (f"f{number}", cell, nan if cell is NUMBER else None)
        for number, cell in enumerate(cells.values())
    ]
    return _struct("Group", fields, {f"f{number}": name for number, name in enumerate(cells)})


def _listed(cell: Any) -> Any:
    """A column of such values; one version may stand for all rows."""
    return list[cell] | VERSION if cell is VERSION else list[cell] | None


def _struct(name: str, fields: Sequence[Field], rename: Mapping[str, str]) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, fields, rename=rename, forbid_unknown_fields=True, gc=False)
