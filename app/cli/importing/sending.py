"""The import itself: batch after batch, each in the journal once it is acknowledged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from app.cli.client import Client, Refused
from app.cli.importing.body import Target, body
from app.cli.importing.errors import FileProblem
from app.cli.importing.journal import Journal, Progress
from app.cli.importing.layout import Layout
from app.cli.importing.table import Batch, Kind, Table

SHOWN = 20  # places of one refusal that are printed; the rest is of the same kind


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row that the tracker has with another content; it was left as it is there."""

    place: str  # file and line
    prediction_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Import:
    """One file on its way to one model."""

    client: Client
    table: Table
    layout: Layout
    kinds: dict[str, Kind]
    target: Target
    model_id: str
    max_bytes: int  # of a request

    def send(self, progress: Progress, journal: Journal, size: int, sent: Callable[[int], None]) -> Iterator[Conflict]:
        """Sends what is left, `size` rows at a time, calling `sent(rows)` after each; yields the conflicts met."""
        for batch in self.table.batches(self.layout.columns(), self.kinds, progress.rows, size):
            for part, answer in self._delivered(batch):
                progress.add(part.n, answer)
                journal.write(progress)
                sent(part.n)
                yield from self._conflicts(answer, part)

    def _delivered(self, batch: Batch) -> Iterator[tuple[Batch, dict[str, Any]]]:
        """The batch with its answer, or its parts with theirs where it is too much for one request."""
        content = body(batch, self.layout, self.target, self.table.path)
        fits = batch.n == 1 or len(msgspec.json.encode(content)) <= self.max_bytes
        answer = self._post(batch, content) if fits else None
        if answer is not None:
            yield batch, answer
            return
        for half in halves(batch):
            yield from self._delivered(half)

    def _post(self, batch: Batch, content: dict[str, Any]) -> dict[str, Any] | None:
        """None where this server takes smaller requests than we make by default."""
        try:
            return dict(self.client.post(f"/models/{self.model_id}/{self.layout.rows}", content, repeat=True))
        except Refused as refusal:
            if refusal.status == 413 and batch.n > 1:
                return None
            raise FileProblem(explain(refusal, batch, self.layout, self.table)) from refusal

    def _conflicts(self, answer: dict[str, Any], batch: Batch) -> Iterator[Conflict]:
        for found in answer["conflicts"]:
            place = f"{self.table.path}:{batch.lines[found['row']]}"
            yield Conflict(place, found["prediction_id"], found["detail"])


def halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = batch.n // 2
    return _part(batch, 0, middle), _part(batch, middle, batch.n)


def _part(batch: Batch, low: int, high: int) -> Batch:
    columns = {name: values[low:high] for name, values in batch.columns.items()}
    return Batch(batch.first + low, high - low, columns, batch.lines[low:high])


def explain(refusal: Refused, batch: Batch, layout: Layout, table: Table) -> str:
    """The refusal with each pointer turned into file, line and column."""
    places = refusal.problem.get("errors") or []
    lines = [str(refusal)]
    for place in places[:SHOWN]:
        where = _where(str(place.get("pointer", "")), batch, layout, table.path)
        lines.append(f"{where}: {place.get('message', place.get('code', ''))}")
    if len(places) > SHOWN:
        lines.append(f"… and {len(places) - SHOWN} more places")
    return "\n".join(lines)


def _where(pointer: str, batch: Batch, layout: Layout, path: Path) -> str:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    if steps and steps[0] == "columns":
        steps = steps[1:]
    row = int(steps.pop()) if steps and steps[-1].isdigit() and int(steps[-1]) < batch.n else None
    line = "" if row is None else f":{batch.lines[row]}"
    return f"{path}{line}: column {layout.column_of(steps)!r}" if steps else f"{path}{line}"
