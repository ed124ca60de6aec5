"""The `assay` command; each subcommand is a call into a service or a client of the HTTP API."""

from typing import Annotated

import typer

from app import __version__
from app.cli import keys, users
from app.cli.console import results
from app.cli.demo.command import demo
from app.cli.importing import command as importing
from app.cli.run import run
from app.cli.serve import migrate, serve
from app.cli.settings import settings

cli = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks show the values of variables, secrets among them
    rich_markup_mode=None,
    help="Knows how accurate a deployed model is, says so honestly, and acts on it. "
    "Settings are environment variables (ASSAY_…), listed in .env.example.",
)
cli.command(epilog="Examples: assay run · assay run --no-demo · assay run --speed 7 --port 9000")(run)
cli.command(epilog="Examples: assay serve · assay serve --workers 4 --no-migrate")(serve)
cli.command(epilog="Example: ASSAY_DATABASE__URL=postgresql://assay:secret@db/assay assay migrate")(migrate)
cli.command(epilog="Examples: assay demo · assay demo --url http://127.0.0.1:9000 --speed 30")(demo)
cli.command(epilog="Example: assay settings > .env.example")(settings)
cli.add_typer(importing.commands, name="import")
cli.add_typer(keys.commands, name="api-key")
cli.add_typer(users.commands, name="user")


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
    cli(prog_name="assay")
