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

    place: str
    prediction_id: str


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
            for part in self._small_enough(batch):
                answer = self._post(part)
                progress.add(part.n, answer)
                journal.write(progress)
                sent(part.n)
                yield from self._conflicts(answer, part)

    def _small_enough(self, batch: Batch) -> Iterator[Batch]:
        if batch.n == 1 or len(msgspec.json.encode(self._body(batch))) <= self.max_bytes:
            yield batch
            return
        for half in halves(batch):
            yield from self._small_enough(half)

    def _post(self, batch: Batch) -> dict[str, Any]:
        try:
            answer = self.client.post(f"/models/{self.model_id}/{self.layout.rows}", self._body(batch), repeat=True)
        except Refused as refusal:
            if refusal.status == 413 and batch.n > 1:  # this server takes less than ours does by default
                answers = [self._post(half) for half in halves(batch)]
                return _added(answers)
            raise FileProblem(explain(refusal, batch, self.layout, self.table)) from refusal
        return dict(answer)

    def _body(self, batch: Batch) -> dict[str, Any]:
        return body(batch, self.layout, self.target, self.table.path)

    def _conflicts(self, answer: dict[str, Any], batch: Batch) -> Iterator[Conflict]:
        ids = batch.columns[self.layout.fields["prediction_id"]]
        rows = {prediction_id: row for row, prediction_id in enumerate(ids)}
        for found in answer.get("conflicts", ()):
            prediction_id = str(found.get("prediction_id") if isinstance(found, dict) else found)
            row = rows.get(prediction_id)
            line = "" if row is None else f":{batch.lines[row]}"
            yield Conflict(f"{self.table.path}{line}", prediction_id)


def halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = batch.n // 2
    return _part(batch, 0, middle), _part(batch, middle, batch.n)


def _part(batch: Batch, low: int, high: int) -> Batch:
    columns = {name: values[low:high] for name, values in batch.columns.items()}
    return Batch(batch.first + low, high - low, columns, batch.lines[low:high])


def _added(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts and lists of several answers in one."""
    total: dict[str, Any] = {}
    for answer in answers:
        for name, value in answer.items():
            total[name] = total[name] + value if name in total else value
    return total


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
