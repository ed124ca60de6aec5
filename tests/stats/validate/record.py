"""What a run found, kept beside the page that is written from it."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from tests.stats.simulations.registry import Check, Result

ROOT = Path(__file__).parents[3]
RECORD, PAGE, FIGURES = ROOT / "docs/validation.json", ROOT / "docs/validation.md", ROOT / "docs/figures"

Form = Literal["full", "broken", "smoke"]


@dataclass(frozen=True, slots=True)
class Found:
    """One form of a check, and the CPU seconds it took."""

    id: str
    form: Form
    result: Result
    seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page. `smoke`: the figure of the tests' short form, on `smoke_replications`, the same seed."""

    id: str
    title: str
    seed: int
    replications: int
    figure: float
    band: str
    passed: bool
    detail: str
    broken_name: str
    broken_figure: float
    broken_rejected: bool
    broken_detail: str
    smoke_replications: int
    smoke: float
    seconds: float
    commit: str
    table: tuple[tuple[str, ...], ...] = ()

    @property
    def holds(self) -> bool:
        return self.passed and self.broken_rejected


def failed(rows: Iterable[Row]) -> list[str]:
    """Those outside their band, or whose broken variant is inside it."""
    return [row.id for row in rows if not row.holds]


def row_of(check: Check, found: dict[Form, Found], commit: str) -> Row:
    full, broken = found["full"].result, found["broken"].result
    return Row(
        id=check.id,
        title=check.title,
        seed=check.seed,
        replications=check.replications,
        figure=full.figure,
        band=full.band,
        passed=full.passed,
        detail=full.detail,
        broken_name=check.broken_name,
        broken_figure=broken.figure,
        broken_rejected=not broken.passed,
        broken_detail=broken.detail,
        smoke_replications=check.smoke,
        smoke=found["smoke"].result.figure,
        seconds=round(sum(one.seconds for one in found.values()), 1),
        commit=commit,
        table=full.table,
    )


@dataclass(frozen=True, slots=True)
class Record:
    """`machine`: what computed it; `minutes`: from start to end of the last whole run."""

    rows: tuple[Row, ...] = ()
    machine: str = ""
    minutes: float = 0.0

    def replaced(self, rows: Iterable[Row]) -> "Record":
        """With these rows in the place of their namesakes."""
        merged = {row.id: row for row in (*self.rows, *rows)}
        return replace(self, rows=tuple(merged.values()))


def read(path: Path = RECORD) -> Record:
    if not path.exists():
        return Record()
    body = json.loads(path.read_text())
    rows = [Row(**row | {"table": tuple(map(tuple, row["table"]))}) for row in body.pop("rows")]
    return Record(tuple(rows), **body)


def write(record: Record, path: Path = RECORD) -> None:
    path.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")


def commit() -> str:
    """The last that touched the statistics or their checks, with a + where these are not as committed."""
    git, code = ["git", "-C", str(ROOT)], ["--", "app/stats", "tests/stats"]
    head, changed = (
        subprocess.run([*git, *asked, *code], capture_output=True, text=True, check=False)
        for asked in (["log", "-1", "--format=%h", "--abbrev=12"], ["status", "--porcelain"])
    )
    return (head.stdout.strip() or "none") + ("+" if changed.stdout.strip() else "")
