"""What the commands say: results on stdout, everything about the work on stderr."""

import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

results = Console(highlight=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, soft_wrap=True)
_PADDING = 2  # of a table's column


def subcommands(title: str | None = None) -> typer.Typer:
    """Where a module registers its commands; one that gives no title has a single command."""
    return typer.Typer(help=title, no_args_is_help=title is not None, add_completion=False, rich_markup_mode=None)


def note(message: str) -> None:
    """A line about the work, as it is: no markup, so that a path or a model's name cannot style it."""
    notes.print(message, markup=False)


def tell(rows: Iterable[Sequence[str]], *titles: str, whole: str) -> None:
    """A table. A narrow terminal folds its cells, but not those of the column `whole`, which other commands take; in a
    pipe, which has no width, a row is a line."""
    given = list(rows)
    widest = [max(map(cell_len, column)) for column in zip(titles, *given, strict=True)]
    least = [width if title == whole else cell_len(title) for title, width in zip(titles, widest, strict=True)]
    padding = _PADDING * len(titles)
    widths = _fitting(widest, least, results.width - padding) if results.is_terminal else widest
    table = Table(box=None, width=sum(widths) + padding)
    for title, width in zip(titles, widths, strict=True):
        table.add_column(title, overflow="fold", width=width)
    for row in given:
        table.add_row(*map(Text, row))
    results.print(table)


def _fitting(widest: Sequence[int], least: Sequence[int], room: int) -> Sequence[int]:
    """Widths of columns: the wider ones give way first, and none below its least. Where that is no use, none does.

    >>> _fitting([30, 9, 40], [2, 9, 6], 39)
    [15, 9, 15]
    """
    for level in range(max(widest), 0, -1):
        widths = [max(lowest, min(width, level)) for width, lowest in zip(widest, least, strict=True)]
        if sum(widths) <= room:
            return widths
    return widest


def fail(message: str, *, status: int = 1) -> NoReturn:
    """Ends the command: one message on stderr, no traceback."""
    notes.print(f"[bold red]error:[/] {escape(message)}")
    raise typer.Exit(status)


def attached() -> bool:
    """Whether a person watches: progress bars are drawn; otherwise lines are logged."""
    return sys.stderr.isatty()
