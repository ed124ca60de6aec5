"""JSON that doesn't fit the model's shape: read as it comes, so that all that is wrong can be said at once.

What an unusual but honest client sends (other names for the id, features never seen before) comes through here too,
only slower. Names are looked at here, values by the `Reader`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from app.core.errors import InvalidRequest, Place, pointer
from app.tracking.decoding.columns import MAX_CELLS, MAX_NAMES, Columns, Read, Terms
from app.tracking.decoding.errors import MalformedBody, malformed
from app.tracking.decoding.reader import Reader, is_unicode
from app.tracking.decoding.shapes import ID_NAMES, Shape
from app.tracking.places import Finding, Findings, Form, Origin

Objects = list[dict[str, Any]]
Groups = dict[str, dict[str, list[Any]]]  # field → name → values
Path = tuple[str, ...]


def read_loosely(body: bytes, form: Form, noun: str, shape: Shape, terms: Terms, reader: Reader) -> Read:
    """Raises `MalformedBody` where nothing can be made of the body, `InvalidRequest` where its frame is wrong."""
    origin = Origin(form, noun)
    if form is Form.LINES:
        rows, reader.broken = _lines(body, reader.findings)
        return _of_rows(rows, origin, shape, terms, reader)
    request, reader.broken = parse(body)
    content, terms = _frame(request, "columns" if form is Form.COLUMNS else noun, terms)
    return (_of_columns if form is Form.COLUMNS else _of_rows)(content, origin, shape, terms, reader)


def parse(body: bytes) -> tuple[Any, str | None]:
    """The value and what is wrong with it as JSON.

    Python's own reader takes NaN, infinities and lone surrogates, so that they can be pointed at where they stand.
    """
    try:
        return msgspec.json.decode(body), None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        broken = str(error)
    try:
        return json.loads(body.decode()), broken
    except UnicodeDecodeError as error:
        raise malformed("not_utf8", f"the body is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise malformed("too_deep", "nested too deeply") from error
    except ValueError as error:
        raise malformed("json_invalid", broken) from error


def _lines(body: bytes, findings: Findings) -> tuple[list[Any], str | None]:
    """A line that can't be read is a row without anything, so that the other lines are looked at."""
    rows: list[Any] = []
    first: str | None = None
    for line in filter(bytes.strip, body.split(b"\n")):
        try:
            value, broken = parse(line)
        except MalformedBody as problem:
            value, broken = {}, problem.places[0].message
            findings.rows([len(rows)], (), "malformed", "the line is not JSON in UTF-8")
        first = first or broken
        rows.append(value)
    return rows, first


def _frame(request: Any, name: str, terms: Terms) -> tuple[Any, Terms]:
    """The rows or columns inside the body's object, and the terms with what stands beside them."""
    if not isinstance(request, dict):
        raise _refusal((), "wrong_type", f'must be an object such as {{"{name}": …}}')
    for key in request:
        if key not in {name, "import", "version"}:
            raise _refusal((key,), "unknown_field", f"only {name}, import and version are known here")
    if not isinstance(imported := request.get("import", False), bool):
        raise _refusal(("import",), "wrong_type", "must be true or false")
    version = request.get("version")
    if version is not None and type(version) not in {str, int}:
        raise _refusal(("version",), "wrong_type", "must be text or a whole number")
    if name not in request:
        raise _refusal((name,), "missing", f"{name} is required")
    return request[name], terms.stated(imported, version)


def _refusal(path: tuple[str, ...], code: str, message: str) -> InvalidRequest:
    place = Place(pointer(*path), code, message)
    return InvalidRequest("The frame of the body is wrong. Nothing was stored.", places=[place])


def _of_rows(rows: Any, origin: Origin, shape: Shape, terms: Terms, reader: Reader) -> Read:
    if not isinstance(rows, list):
        raise _refusal((origin.noun,), "wrong_type", "must be a list of rows")
    reader.findings.rows(_not_objects(rows, required=True), (), "wrong_type", "a row must be an object")
    objects = _objects(rows)
    sent = _names(objects, (), origin)
    plain, nested = _known(shape, origin.noun)
    for name in sent - plain.keys() - nested.keys():
        rows_with = (row for row, item in enumerate(objects) if name in item)
        reader.findings.rows(rows_with, (name,), "unknown_field", f"not a field of {origin.noun}")
    fields: dict[str, list[Any]] = {name: [item.get(name) for item in objects] for name in sent & plain.keys()}
    groups: Groups = {}
    for name in sent & nested.keys():
        values = [item.get(name) for item in objects]
        reader.findings.rows(_not_objects(values), (name,), "wrong_type", "must be an object")
        members = _objects(values)
        groups[name] = {key: [item.get(key) for item in members] for key in sorted(_names(members, (name,), origin))}
    return _read(len(rows), fields, groups, origin, shape, terms, reader)


def _of_columns(columns: Any, origin: Origin, shape: Shape, terms: Terms, reader: Reader) -> Read:
    if not isinstance(columns, dict):
        raise _refusal(("columns",), "wrong_type", "must be an object of columns")
    plain, nested = _known(shape, origin.noun)
    ids = next((columns[name] for name in ID_NAMES if name in columns), None)
    if not isinstance(ids, list):
        raise _refusal(("columns", "prediction_id"), "missing", "a list of ids is required")
    n = len(ids)
    fields: dict[str, list[Any]] = {}
    groups: Groups = {}
    for name, values in columns.items():
        if name in nested:
            groups[name] = _lists(values, n, (name,), reader)
        elif name not in plain:
            reader.findings.whole((name,), "unknown_field", f"not a field of {origin.noun}")
        elif name == "version" and type(values) in {str, int}:
            fields[name] = [values] * n
        else:
            fields |= _lists({name: values}, n, (), reader)
    return _read(n, fields, groups, origin, shape, terms, reader)


def _known(shape: Shape, noun: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Plain fields and objects that a row may have."""
    return {**shape.cells[noun], **dict.fromkeys(ID_NAMES)}, shape.groups if noun == "predictions" else {}


def _read(
    n: int, fields: dict[str, list[Any]], groups: Groups, origin: Origin, shape: Shape, terms: Terms, reader: Reader
) -> Read:
    _halved(groups, reader)
    named = [name for name in ID_NAMES if name in fields]
    fields["prediction_id"] = _one_id([fields.pop(name) for name in named], n, reader)
    columns = Columns(
        n,
        fields,
        features=groups.get("features", {}),
        segments=groups.get("segment", {}),
        scores=groups.get("scores", {}),
        kinds=shape.facts.schema,
    )
    return Read(columns, terms, replace(origin, id_name=named[0] if named else origin.id_name))


def _halved(groups: Groups, reader: Reader) -> None:
    """Takes names out that hold half of a surrogate pair; only Python's own reader lets them through."""
    if reader.broken is None:
        return
    for group, members in groups.items():
        for name in [name for name in members if not is_unicode(name)]:
            rows = (row for row, value in enumerate(members[name]) if value is not None)
            reader.findings.rows(rows, (group, name), "surrogate", "the name holds half of a surrogate pair")
            del members[name]


def _one_id(columns: list[list[Any]], n: int, reader: Reader) -> list[Any]:
    """Of the names an id may have, a row uses one."""
    if len(columns) <= 1:
        return columns[0] if columns else [None] * n
    rows = [[value for value in values if value is not None] for values in zip(*columns, strict=True)]
    several = (row for row, values in enumerate(rows) if len(values) > 1)
    reader.findings.rows(
        several, ("prediction_id",), "contradiction", f"only one of {', '.join(ID_NAMES)} may be given"
    )
    return [values[0] if values else None for values in rows]


def _lists(columns: Any, n: int, path: Path, reader: Reader) -> dict[str, list[Any]]:
    """The columns that are lists of n values; of the others it is said what they are."""
    if columns is None:
        return {}
    if not isinstance(columns, dict):
        reader.findings.whole(path, "wrong_type", "must be an object of columns")
        return {}
    if len(columns) > MAX_NAMES:
        raise _refusal(("columns", *path), "too_many", f"more than {MAX_NAMES:,} names")
    good: dict[str, list[Any]] = {}
    for name, values in columns.items():
        if isinstance(values, list) and len(values) == n:
            good[name] = values
        elif isinstance(values, list):
            wrong = f"has {len(values):,} values, prediction_id has {n:,}"
            reader.findings.whole((*path, name), "wrong_length", wrong)
        elif values is not None:
            reader.findings.whole((*path, name), "wrong_type", "must be a list")
    return good


def _not_objects(values: list[Any], *, required: bool = False) -> Iterator[int]:
    return (row for row, value in enumerate(values) if not isinstance(value, dict) and (required or value is not None))


def _objects(values: list[Any]) -> Objects:
    """An empty object where a row has none, or has something else."""
    return [value if isinstance(value, dict) else {} for value in values]


def _names(objects: Objects, path: Path, origin: Origin) -> set[str]:
    """All names that any row uses; too many, for the matrix of rows × names that they would make, are refused."""
    names: set[str] = set()
    for row, item in enumerate(objects):
        names |= item.keys()
        if len(names) > MAX_NAMES or len(names) * len(objects) > MAX_CELLS:
            message = f"more than {MAX_NAMES:,} names, or {MAX_CELLS:,} rows × names, in one request"
            raise origin.refuse([Finding(row, path, "too_many", message)])
    return names
