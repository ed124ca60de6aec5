"""`assay demo`, and how the demo's process is started."""

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from app.cli import ourselves
from app.cli.console import fail, subcommands
from app.cli.demo.options import FOLDER, SPEED, Speed
from app.cli.environment import load
from app.cli.folder import UnusableFolder, in_folder
from app.cli.stopping import in_order
from app.core.settings import Settings

commands = subcommands()


@commands.command(epilog="Examples: assay demo · assay demo --url http://127.0.0.1:9000 --speed 30")
def demo(
    url: Annotated[
        str | None,
        typer.Option(
            envvar="ASSAY_URL", help="address of the server; default: this machine, ASSAY_PORT", show_default=False
        ),
    ] = None,
    speed: Speed = SPEED,
    again: Annotated[bool, typer.Option("--again", help="from the first of March, whatever was sent before")] = False,
) -> None:
    """Replay a year of flights from New York through the API of a running server; goes on where it was.

    The model says at each scheduled departure whether the flight will arrive more than 15 minutes late; the truth comes
    hours later, and never for cancelled flights. The first start needs ASSAY_ADMIN_EMAIL and ASSAY_ADMIN_PASSWORD.
    """
    settings = load()
    try:
        with in_folder(settings.data_dir):
            folder(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
            if again:
                (folder(settings) / "state.json").unlink(missing_ok=True)
    except UnusableFolder as problem:
        fail(str(problem))
    command = arguments(url or f"http://127.0.0.1:{settings.port}", settings, speed)
    with in_order(), subprocess.Popen(command, env=environment(settings)) as child:  # noqa: S603  ourselves
        try:
            status = child.wait()
        except SystemExit:
            child.terminate()
            raise
    raise typer.Exit(status)


def arguments(url: str, settings: Settings, speed: float) -> list[str]:
    """A process of its own: it loads scikit-learn, which no other command should wait for."""
    return ourselves.command("app.cli.demo", url, str(folder(settings)), "--speed", str(speed))


def environment(settings: Settings) -> dict[str, str]:
    """Ours and the first admin's name and password: arguments could be read by everybody."""
    known = dict(os.environ)
    if settings.admin_email is not None and settings.admin_password is not None:
        known["ASSAY_ADMIN_EMAIL"] = settings.admin_email
        known["ASSAY_ADMIN_PASSWORD"] = settings.admin_password.get_secret_value()
    return known


def folder(settings: Settings) -> Path:
    return settings.data_dir.resolve() / FOLDER
