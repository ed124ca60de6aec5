"""A request's body becomes one columnar batch, whatever its form. Pure: no I/O, no event loop.

Typed decoding comes first; a body that doesn't fit the model's shape is read loosely, which either finds everything
that is wrong with it or reads it after all.
"""

import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from app.core.errors import InvalidRequest, UnsupportedMediaType
from app.models.facts import ModelFacts
from app.tracking.batch import LabelBatch, PredictionBatch
from app.tracking.decoding.columns import Read, Terms, labels, predictions
from app.tracking.decoding.loose import parse, read_loosely
from app.tracking.decoding.reader import Reader
from app.tracking.decoding.rules import examine_labels, examine_predictions
from app.tracking.decoding.shapes import Shape, learn, shape_of
from app.tracking.decoding.typed import read_typed
from app.tracking.places import Findings, Form, Origin

JSON = "application/json"
NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"
SUPPORTED = (JSON, NDJSON, ARROW)

_FIRST_KEY = re.compile(rb'\s*\{\s*"(predictions|labels|columns)"')
_LINES = frozenset({NDJSON, "application/ndjson", "application/jsonl"})


def decode_predictions(
    body: bytes, content_type: str, facts: ModelFacts, *, now_us: int, max_rows: int, imported: bool = False
) -> PredictionBatch:
    """Predictions in any form; the batch has `known_at` if it is an import, by the body or by `imported`.

    Raises `InvalidRequest` with all places that must be mended where the form is wrong anywhere (`rules` looks at a
    batch whose form is right), `MalformedBody`, `TooManyRows` or `UnsupportedMediaType`.
    """
    batch, findings = _predictions(body, content_type, facts, Terms(now_us, max_rows, imported))
    if findings:
        raise _refusal(batch.origin, findings, examine_predictions(batch, facts, now_us=now_us)[1])
    return batch


def decode_labels(
    body: bytes, content_type: str, facts: ModelFacts, *, now_us: int, max_rows: int, imported: bool = False
) -> LabelBatch:
    """Labels in any form; as `decode_predictions`."""
    batch, findings = _labels(body, content_type, facts, Terms(now_us, max_rows, imported))
    if findings:
        raise _refusal(batch.origin, findings, examine_labels(batch, facts, now_us=now_us)[1])
    return batch


def at_hand(content_type: str) -> bool:
    """Whether what reads such bodies is loaded; loading pyarrow takes about a second."""
    return not content_type.lower().startswith(ARROW) or _arrow.cache_info().currsize > 0


def _predictions(body: bytes, content_type: str, facts: ModelFacts, terms: Terms) -> tuple[PredictionBatch, Findings]:
    form = _form(content_type, body)
    if form is Form.ARROW:
        return _arrow().predictions(body, facts, terms)  # type: ignore[no-any-return]  # an optional module
    shape = shape_of(facts)
    read, reader = _read(body, form, "predictions", shape, terms)
    batch = predictions(read, reader, facts)
    reader.ended()
    if not reader.typed and not reader.findings:
        learn(shape, batch)
    return batch, reader.findings


def _labels(body: bytes, content_type: str, facts: ModelFacts, terms: Terms) -> tuple[LabelBatch, Findings]:
    form = _form(content_type, body)
    if form is Form.ARROW:
        return _arrow().labels(body, facts, terms)  # type: ignore[no-any-return]  # an optional module
    read, reader = _read(body, form, "labels", shape_of(facts), terms)
    batch = labels(read, reader, facts)
    reader.ended()
    return batch, reader.findings


def _read(body: bytes, form: Form, noun: str, shape: Shape, terms: Terms) -> tuple[Read, Reader]:
    reader = Reader(typed=True)
    read = read_typed(body, form, noun, shape, terms)
    if read is None:
        reader = Reader(typed=False)
        read = read_loosely(body, form, noun, shape, terms, reader)
    read.terms.size(read.columns.n, read.origin)
    return read, reader


def _form(content_type: str, body: bytes) -> Form:
    """By content type; rows and columns, both JSON, are told apart by their key."""
    name, _, parameters = content_type.lower().partition(";")
    name = name.strip()
    if "charset" in parameters and "utf-8" not in parameters and "utf8" not in parameters:
        raise UnsupportedMediaType("Only UTF-8 is read.", supported=SUPPORTED)
    if name == JSON or not name:
        return _json_form(body)
    if name in _LINES:
        return Form.LINES
    if name == ARROW:
        return Form.ARROW
    raise UnsupportedMediaType(
        "The rows may come as JSON, as NDJSON or as an Arrow stream; CSV and Parquet files come in by `assay import`.",
        supported=SUPPORTED,
    )


def _json_form(body: bytes) -> Form:
    first = _FIRST_KEY.match(body)
    if first is not None:
        return Form.COLUMNS if first[1] == b"columns" else Form.ROWS
    request, _ = parse(body)
    return Form.COLUMNS if isinstance(request, dict) and "columns" in request else Form.ROWS


@cache
def _arrow() -> Any:
    """The module that reads Arrow, where its optional package is installed."""
    if find_spec("pyarrow") is None:
        raise UnsupportedMediaType(
            "Arrow needs a package that is not installed on the server: pip install 'assay-tracker[arrow]'.",
            supported=(JSON, NDJSON),
        )
    return import_module("app.tracking.decoding.arrow")


def _refusal(origin: Origin, findings: Findings, further: Findings) -> InvalidRequest:
    """What is wrong with the form, and with the rows whose form is right."""
    lost = {finding.row for finding in findings if not finding.path}
    kept = [finding for finding in findings if not finding.path or finding.row not in lost]
    rows = {finding.row for finding in findings}
    if None not in rows:  # a column that is wrong as such leaves every row without a value
        kept += [finding for finding in further if finding.row not in rows]
    return origin.refuse(kept)
