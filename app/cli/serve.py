"""`assay serve` and `assay migrate`."""

import asyncio
from typing import Annotated

import typer

from app.cli.console import fail, note
from app.cli.environment import load
from app.cli.hosting import address, hosted
from app.cli.server import PortTaken, base_url, bind
from app.cli.server import serve as serve_on
from app.cli.stopping import in_order
from app.core import logs
from app.core.settings import HttpSettings, Settings
from app.db import migrate as migrations
from app.db.embedded import EmbeddedServerError

Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65_535, help=f"instead of ASSAY_PORT (default {Settings.model_fields['port'].default}); 0: any"
    ),
]
_DRAIN_S = HttpSettings().drain_timeout_s


def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes that share the port")] = 1,
    port: Port = None,
    migrate: Annotated[bool, typer.Option(help="bring the database's schema up to date first")] = True,
) -> None:
    """Serve the API and the dashboard, without the demo."""
    settings = load(port=port)
    logs.configure(settings.log)
    try:
        with in_order(), bind(settings) as listening, hosted(settings) as here:
            if migrate:
                asyncio.run(migrations.upgrade(address(here)))
            url = base_url(here, listening)
            serve_on(here, listening, workers=workers, ready=lambda: note(f"Assay answers on {url}"))
    except (PortTaken, EmbeddedServerError) as problem:
        fail(str(problem))


def migrate() -> None:
    """Bring the database's schema to the newest revision; harmless where it is there already."""
    settings = load()
    try:
        with in_order(), hosted(settings) as here:
            asyncio.run(migrations.upgrade(address(here)))
    except EmbeddedServerError as problem:
        fail(str(problem))
    note(f"the schema is at revision {migrations.newest()}")


serve.__doc__ = f"""{serve.__doc__}

    SIGTERM and Ctrl-C end it when the requests under way are answered, after {_DRAIN_S:g} s at the latest
    (ASSAY_HTTP__DRAIN_TIMEOUT_S). Without ASSAY_DATABASE__URL it keeps an embedded PostgreSQL under ASSAY_DATA_DIR.
    """
