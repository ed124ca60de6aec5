"""What the commands say: results on stdout, everything about the work on stderr."""

import sys
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

results = Console(highlight=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, soft_wrap=True)


def subcommands(title: str | None = None) -> typer.Typer:
    """Where a module registers its commands; one that gives no title has a single command."""
    return typer.Typer(help=title, no_args_is_help=title is not None, add_completion=False, rich_markup_mode=None)


def note(message: str) -> None:
    """A line about the work, as it is: no markup, so that a path or a model's name cannot style it."""
    notes.print(message, markup=False)


def fail(message: str, *, status: int = 1) -> NoReturn:
    """Ends the command: one message on stderr, no traceback."""
    notes.print(f"[bold red]error:[/] {escape(message)}")
    raise typer.Exit(status)


def attached() -> bool:
    """Whether a person watches: progress bars are drawn; otherwise lines are logged."""
    return sys.stderr.isatty()
