"""JSON by typed decoding: the body becomes structs of the model's shape at C speed, and these become columns."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from app.tracking.batch import Feature
from app.tracking.decoding.columns import MAX_CELLS, Columns, Read, Terms, Values
from app.tracking.decoding.shapes import Shape, id_name
from app.tracking.decoding.values import number_features
from app.tracking.places import Form, Origin

_members = msgspec.structs.astuple
Groups = Mapping[str, Values]  # field → the struct of each row


def read_typed(body: bytes, form: Form, noun: str, shape: Shape, terms: Terms) -> Read | None:
    """None where the body doesn't fit the shape, or can't be read at all: the loose road finds out which."""
    named = id_name(body)
    decoder = shape.decoder(form, noun, named)
    if decoder is None:
        return None
    origin = Origin(form, noun, named)
    try:
        if form is Form.LINES:
            columns = of_rows(decoder.decode_lines(body), shape, noun)
        else:
            request = decoder.decode(body)
            terms = terms.stated(request.imported, request.version)
            columns = (_of_columns if form is Form.COLUMNS else of_rows)(request.rows, shape, noun)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Read(columns, terms, origin) if columns else None


def of_rows(rows: Sequence[Any], shape: Shape, noun: str) -> Columns | None:
    """Columns of rows that are structs of `shape`; None where there are no rows, or too many for their names."""
    if not rows or len(rows) * len(shape.kinds) > MAX_CELLS:
        return None
    ids, *others = zip(*map(_members, rows), strict=True)
    fields = {"prediction_id": ids} | {
        name: values for name, values in zip(shape.cells[noun], others, strict=False) if _any(values)
    }
    if noun == "labels":
        return Columns(len(rows), fields)
    inside = others[len(shape.cells[noun]) :]
    groups = {name: _filled(values) for name, values in zip(shape.groups, inside, strict=True) if _any(values)}
    return Columns(
        len(rows),
        fields,
        features=_features(groups, shape),
        segments=_by_name(groups, "segment", shape),
        scores=_by_name(groups, "scores", shape),
        kinds=shape.kinds,
    )


def _any(values: Values) -> bool:
    return values[0] is not None or (len(values) > 1 and values.count(None) < len(values))


def _filled(structs: Values) -> Values:
    """An empty object where a row has none."""
    if None not in structs:
        return structs
    empty = type(next(struct for struct in structs if struct is not None))()
    return [empty if struct is None else struct for struct in structs]


def _features(groups: Groups, shape: Shape) -> Mapping[str, Values | Feature]:
    structs = groups.get("features")
    if structs is None or not shape.numeric:
        return _by_name(groups, "features", shape)
    size = len(structs) * len(shape.kinds)
    try:
        values = np.fromiter(chain.from_iterable(map(_members, structs)), np.float64, size)
    except TypeError:  # a null, which only the slower road takes
        values = np.array(list(chain.from_iterable(map(_members, structs))), np.float64)
    return number_features(tuple(shape.kinds), values.reshape(len(structs), -1))


def _by_name(groups: Groups, group: str, shape: Shape) -> dict[str, Values]:
    structs = groups.get(group)
    if structs is None:
        return {}
    return dict(zip(shape.groups[group], zip(*map(_members, structs), strict=True), strict=True))


def _of_columns(columns: Any, shape: Shape, noun: str) -> Columns | None:
    ids = columns.prediction_id
    fields = {name: getattr(columns, name) for name in shape.cells[noun] if getattr(columns, name) is not None}
    if not isinstance(fields.get("version", []), list):
        fields["version"] = [fields["version"]] * len(ids)
    inside = shape.groups if noun == "predictions" else {}
    features, segments, scores = (
        _lists(getattr(columns, group), shape.groups[group]) if group in inside else {}
        for group in ("features", "segment", "scores")
    )
    columns_given = chain(fields.values(), features.values(), segments.values(), scores.values())
    if not ids or any(len(values) != len(ids) for values in columns_given):
        return None
    return Columns(len(ids), {"prediction_id": ids, **fields}, features, segments, scores, shape.kinds)


def _lists(struct: Any, names: Iterable[str]) -> dict[str, Values]:
    """The columns of an object of columns that are there."""
    if struct is None:
        return {}
    return {name: values for name, values in zip(names, _members(struct), strict=True) if values is not None}
