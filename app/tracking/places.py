"""Where in a request something is wrong: findings by row and field, and their JSON pointers by form of body."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from app.core.errors import MAX_PLACES, InvalidRequest, Place, pointer


class Form(Enum):
    """How the rows were written down, which decides how a place in them is named."""

    ROWS = "rows"  # /predictions/3/score
    COLUMNS = "columns"  # /columns/score/3
    LINES = "lines"  # /3/score
    ARROW = "arrow"  # /score/3


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong; no `row` where it is the whole column or the body, no `path` where it is the whole row."""

    row: int | None
    path: tuple[str, ...]
    code: str
    message: str


class Findings(list[Finding]):
    """Of a column no more than it takes to list the first hundred of all and to say that there are more."""

    def rows(self, rows: Iterable[int], path: tuple[str, ...], code: str, message: str) -> None:
        self += [Finding(row, path, code, message) for row in islice(rows, MAX_PLACES + 1)]

    def where(self, wrong: NDArray[np.bool_], path: tuple[str, ...], code: str, message: str) -> None:
        if wrong.any():
            self.rows(np.flatnonzero(wrong)[: MAX_PLACES + 1].tolist(), path, code, message)

    def whole(self, path: tuple[str, ...], code: str, message: str) -> None:
        """Of the body, or of a column as such."""
        self.append(Finding(None, path, code, message))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a batch came from; `id_name` is the name under which the client sent the ids."""

    form: Form = Form.ROWS
    noun: str = "predictions"
    id_name: str = "prediction_id"

    def pointer(self, row: int | None, path: tuple[str, ...]) -> str:
        """The JSON pointer (RFC 6901) of a field of a row, or of the whole column where `row` is None."""
        names = [self.id_name if name == "prediction_id" else name for name in path]
        index = [] if row is None else [str(row)]
        match self.form:
            case Form.ROWS:
                return pointer(self.noun, *index, *names)
            case Form.COLUMNS:
                return pointer("columns", *names, *index)
            case Form.LINES:
                return pointer(*index, *names)
            case Form.ARROW:
                return pointer(*names, *index)

    def refuse(self, findings: Iterable[Finding]) -> InvalidRequest:
        """The answer that lists the findings, ordered by row; nothing of the request is kept."""
        ordered = sorted(findings, key=lambda finding: -1 if finding.row is None else finding.row)
        listed = [
            Place(self.pointer(finding.row, finding.path), finding.code, finding.message)
            for finding in ordered[:MAX_PLACES]
        ]
        return InvalidRequest(f"{_how_many(len(ordered))} Nothing was stored.", places=listed)


PREDICTIONS = Origin()
LABELS = Origin(noun="labels")


def _how_many(found: int) -> str:
    if found > MAX_PLACES:
        return f"More than {MAX_PLACES} places must be mended, the first are listed."
    return "One place must be mended." if found == 1 else f"{found} places must be mended."
