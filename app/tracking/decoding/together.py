"""Small JSON bodies that are stored together are read together: one pass of numpy for all rows instead of one for each.

Each body is decoded to its model's structs when it comes, at C speed; columns and rules wait. Whatever is not ordinary
(another form, an import, a name the shape doesn't know, any finding) is nobody's here: `decode` and `rules` read that
request alone, and say exactly what is wrong with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.models.facts import ModelFacts
from app.tracking.checked import CheckedPredictions
from app.tracking.decoding.columns import Read, Terms, predictions
from app.tracking.decoding.decode import JSON
from app.tracking.decoding.reader import Reader
from app.tracking.decoding.rules import examine_predictions
from app.tracking.decoding.shapes import Shape, id_name, shape_of
from app.tracking.decoding.typed import of_rows
from app.tracking.places import PREDICTIONS, Form

SMALL_BYTES = 4096  # about ten rows; above it a pass of its own costs little beside the decoding


@dataclass(frozen=True, slots=True, eq=False)
class Unread:
    """A request whose rows are structs of `shape`; nothing else is known of them."""

    body: bytes
    shape: Shape
    rows: Sequence[Any]
    now_us: int

    def __len__(self) -> int:
        return len(self.rows)


def glance(body: bytes, content_type: str, facts: ModelFacts, *, now_us: int) -> Unread | None:
    """None where the request has to be read alone."""
    if len(body) > SMALL_BYTES or content_type != JSON:
        return None
    shape = shape_of(facts)
    decoder = shape.decoder(Form.ROWS, PREDICTIONS.noun, id_name(body))
    if decoder is None:
        return None
    try:
        request = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not request.rows or request.imported or request.version is not None:
        return None
    return Unread(body, shape, request.rows, now_us)


def read_together(requests: Sequence[Unread], facts: ModelFacts) -> CheckedPredictions | None:
    """The rows of all, in order; None where each has to be read alone. Rows without a time came with the last."""
    shape = requests[-1].shape
    if shape.facts != facts or any(request.shape is not shape for request in requests):
        return None
    columns = of_rows([row for request in requests for row in request.rows], shape, PREDICTIONS.noun)
    if columns is None:
        return None
    now_us, reader = requests[-1].now_us, Reader(typed=True)
    batch = predictions(Read(columns, Terms(now_us, columns.n), PREDICTIONS), reader, facts)
    if reader.findings:
        return None
    checked, findings = examine_predictions(batch, facts, now_us=now_us)
    return None if findings or checked.new_classes else checked
