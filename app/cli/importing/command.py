"""`assay import predictions|labels FILE`."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from app.cli.client import Client, Refused, Unreachable
from app.cli.console import attached, fail, note, notes, subcommands
from app.cli.environment import load
from app.cli.importing.body import Target, kinds_to_read
from app.cli.importing.csvfile import CsvFile
from app.cli.importing.errors import FileProblem
from app.cli.importing.journal import Journal, fingerprint, key
from app.cli.importing.layout import Layout, Rows, Told, recognise
from app.cli.importing.sending import Import
from app.cli.importing.table import Kind, Table
from app.core.settings import HttpSettings, TrackingSettings

_LIMITS, _ROWS = HttpSettings(), TrackingSettings()
BATCH_ROWS = min(10_000, _ROWS.max_batch_rows)  # from here on a bigger batch is hardly faster, and its loss costs more
CONFLICTS_SHOWN = 10

commands = subcommands("Bring files of the past into the tracker: CSV, or Parquet with pyarrow.")

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="a .csv or .parquet file")]
Model = Annotated[str, typer.Option("--model", help="the model that the rows belong to; set up before")]
Url = Annotated[
    str | None,
    typer.Option(
        envvar="ASSAY_URL", help="address of the server; default: this machine, ASSAY_PORT", show_default=False
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        envvar="ASSAY_API_KEY",
        help="API key or access token; better by the environment than by the option",
        show_default=False,
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="FIELD=COLUMN, where the name is not recognised: --column score=p_fraud"),
]
Segments = Annotated[list[str] | None, typer.Option("--segment", help="a column that is a segment key")]
Features = Annotated[
    list[str] | None, typer.Option("--feature", help="a column that is a feature; default: all that are nothing else")
]
NoFeatures = Annotated[bool, typer.Option("--no-features", help="send no features")]
Scores = Annotated[
    list[str] | None,
    typer.Option("--class-score", help="CLASS=COLUMN, multiclass; recognised by names like score_CLASS"),
]
Ignored = Annotated[list[str] | None, typer.Option("--ignore", help="a column to leave out")]
Texts = Annotated[
    list[str] | None, typer.Option("--text", help="a feature that is a category though it looks like numbers")
]
Zone = Annotated[str, typer.Option("--timezone", help="of times that name none, as in Europe/Berlin")]
Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="rows count as known from now on; else each since its own timestamp, which needs the scope data:import",
    ),
]
Size = Annotated[int, typer.Option("--batch", min=1, max=_ROWS.max_batch_rows, help="rows of one request")]
Again = Annotated[bool, typer.Option("--again", help="from the first row, whatever the journal says")]


@commands.command(
    epilog="Examples: assay import predictions scored.csv --model fraud · "
    "assay import predictions scored.parquet --model fraud --column score=p_fraud --segment country"
)
def predictions(  # noqa: PLR0917  typer makes options of them
    file: File,
    model: Model,
    api_key: Key,
    url: Url = None,
    column: Columns = None,
    segment: Segments = None,
    feature: Features = None,
    no_features: NoFeatures = False,
    class_score: Scores = None,
    ignore: Ignored = None,
    text: Texts = None,
    timezone: Zone = "UTC",
    live: Live = False,
    batch: Size = BATCH_ROWS,
    again: Again = False,
) -> None:
    """Import predictions. Interrupted, the same command goes on where it was; a row sent twice is harmless."""
    told = Told(
        _pairs(column, "--column"),
        _pairs(class_score, "--class-score"),
        segment or (),
        () if no_features else feature or None,
        ignore or (),
    )
    _run(Rows.PREDICTIONS, file, told, model, url, api_key, text or (), timezone, live=live, size=batch, again=again)


@commands.command(
    epilog="Examples: assay import labels outcomes.csv --model fraud · "
    "assay import labels outcomes.csv --model fraud --column actual=is_fraud --column timestamp=decided_at"
)
def labels(
    file: File,
    model: Model,
    api_key: Key,
    url: Url = None,
    column: Columns = None,
    timezone: Zone = "UTC",
    live: Live = False,
    batch: Size = BATCH_ROWS,
    again: Again = False,
) -> None:
    """Import labels (the truth), before or after their predictions. Resumable as predictions are."""
    told = Told(_pairs(column, "--column"))
    _run(Rows.LABELS, file, told, model, url, api_key, (), timezone, live=live, size=batch, again=again)


def _run(
    rows: Rows, file: Path, told: Told, model: str, url: str | None, api_key: str, text: Sequence[str],
    timezone: str, *, live: bool, size: int, again: bool,
) -> None:  # fmt: skip
    url = url or f"http://127.0.0.1:{load().port}"
    with closing(Client(url, token=api_key)) as client:
        try:
            table = open_table(file)
            layout = recognise(rows, table.names, told, str(file))
            target = _target(client, model, _zone(timezone), backfill=not live)
            if target.backfill and "timestamp" not in layout.fields:
                fail(f"{file}: no column is the timestamp. Name it by --column timestamp=COLUMN, or import with --live")
            _import(client, table, layout, target, model, text, size, again=again)
        except (FileProblem, Unreachable) as problem:
            fail(str(problem))
        except Refused as refusal:
            fail(f"{url}: {refusal}")


def _import(
    client: Client,
    table: Table,
    layout: Layout,
    target: Target,
    model: str,
    text: Sequence[str],
    size: int,
    *,
    again: bool,
) -> None:
    note(_described(layout))
    total, surveyed = table.survey()
    kinds = kinds_to_read(layout, {**surveyed, **dict.fromkeys(text, Kind.TEXT)}, target)
    plan = msgspec.json.encode([layout, kinds, target.backfill], order="sorted").decode()
    journal = Journal(table.path, key(fingerprint(table.path), client.url, model, plan))
    if again:
        journal.forget()
    progress = journal.read()
    if progress.rows:
        note(f"{progress.rows:,} of {total:,} rows are in already, says {journal.path.name}")
    work = Import(client, table, layout, kinds, target, model, _LIMITS.max_batch_bytes // 2)
    conflicts = 0
    with _bar() as bar:
        task = bar.add_task(layout.rows, total=total, completed=progress.rows)
        for conflict in work.send(progress, journal, size, lambda sent: bar.advance(task, sent)):
            conflicts += 1
            if conflicts <= CONFLICTS_SHOWN:
                note(f"{conflict.place}: {conflict.prediction_id!r} was left as it is there: {conflict.detail}")
    note(f"{progress.rows:,} rows: " + ", ".join(f"{value:,} {name}" for name, value in progress.counts.items()))
    if progress.counts.get("conflicts"):
        raise typer.Exit(1)


def open_table(file: Path) -> Table:
    """By the name's end; anything but Parquet is taken for CSV."""
    if file.suffix.lower() not in {".parquet", ".pq"}:
        return CsvFile.open(file)
    if importlib.util.find_spec("pyarrow") is None:
        raise FileProblem(f"{file}: Parquet needs pyarrow: {sys.executable} -m pip install pyarrow, or save it as CSV")
    module: Any = importlib.import_module("app.cli.importing.parquetfile")
    table: Table = module.ParquetFile.open(file)
    return table


def _target(client: Client, model: str, zone: tzinfo, *, backfill: bool) -> Target:
    try:
        found = client.get(f"/models/{model}")
    except Refused as refusal:
        if refusal.status == 403:
            fail("the key needs the scope models:read too: the model's task and classes decide how columns are read")
        raise
    return Target(found["task"], tuple(found["classes"]), zone, backfill)


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        fail(f"--timezone: {name!r} is not known; write it as in Europe/Berlin", status=2)


def _pairs(options: Sequence[str] | None, name: str) -> dict[str, str]:
    pairs = {}
    for option in options or ():
        field, equals, column = option.partition("=")
        if not (field and equals and column):
            fail(f"{name} {option}: write it as {name} NAME=COLUMN", status=2)
        pairs[field] = column
    return pairs


def _described(layout: Layout) -> str:
    parts = [f"{field} = {column}" for field, column in layout.fields.items()]
    for title, members in (
        ("class scores", layout.scores),
        ("segments", layout.segments),
        ("features", layout.features),
    ):
        if members:
            parts.append(f"{title}: {', '.join(members.values())}")
    return "Columns: " + "; ".join(parts)


def _bar() -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=notes,
        disable=not attached(),
    )
