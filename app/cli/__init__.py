"""The `assay` command; each subcommand is a call into a service or a client of the HTTP API."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app import __version__
from app.cli.console import results
from app.cli.memory import resting
from app.core.heaps import few_heaps


@dataclass(frozen=True, slots=True)
class Entry:
    """A subcommand: the module whose `commands` it is, and what the list says of it."""

    module: str
    says: str


COMMANDS: Mapping[str, Entry] = {
    "run": Entry("app.cli.run", "Start everything on this machine, with a demo."),
    "serve": Entry("app.cli.serve", "Serve the API and the dashboard."),
    "worker": Entry("app.cli.worker", "Run jobs: upkeep, recounts, purges."),
    "migrate": Entry("app.cli.migrate", "Bring the database's schema up to date."),
    "demo": Entry("app.cli.demo.command", "Replay a year of flights through a running server."),
    "import": Entry("app.cli.importing.command", "Bring in predictions and labels from files."),
    "api-key": Entry("app.cli.keys", "Make, list and revoke keys for machines."),
    "user": Entry("app.cli.users", "Make, list and change users."),
    "audit": Entry("app.cli.audits", "See whether anybody changed what the audit says."),
    "check": Entry("app.cli.check", "Compare the statistics with the raw rows, and mend them."),
    "settings": Entry("app.cli.settings", "Print every setting with its default and meaning."),
}


class Subcommands(TyperGroup):
    """Loads a subcommand when it is called: the application takes seconds to load, and a client needs none of it."""

    def list_commands(self, _: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: Any, name: str) -> Any:
        entry = COMMANDS.get(name)
        if entry is None:
            return None
        with resting():
            module = importlib.import_module(entry.module)
        command = typer.main.get_command(module.commands)
        command.name = name
        return command

    def format_commands(self, _: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.says) for name, entry in COMMANDS.items()])


cli = typer.Typer(
    cls=Subcommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show the values of variables, secrets among them
    rich_markup_mode=None,
    help="Knows how accurate a deployed model is, says so honestly, and acts on it. "
    "Settings are environment variables (ASSAY_…), listed in .env.example.",
)


def _version(asked: bool) -> None:
    if asked:
        results.print(__version__)
        raise typer.Exit


@cli.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and end")
    ] = False,
) -> None:
    """What goes before the subcommand."""


def main() -> None:
    few_heaps()
    cli(prog_name="assay")
