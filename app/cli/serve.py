"""`assay serve`."""

from contextlib import nullcontext
from typing import Annotated

import typer

from app.cli.beside import worker_beside
from app.cli.console import fail, note, subcommands
from app.cli.environment import load
from app.cli.hosting import hosted
from app.cli.schema import UNSAFE, NotUpgraded, refuse_unsafe, upgraded_once_there
from app.cli.server import PortTaken, base_url, bind
from app.cli.server import serve as serve_on
from app.cli.stopping import in_order
from app.core import logs
from app.core.errors import Unavailable
from app.core.settings import HttpSettings, Settings
from app.db.embedded import EmbeddedServerError

Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65_535, help=f"instead of ASSAY_PORT (default {Settings.model_fields['port'].default}); 0: any"
    ),
]
_DRAIN_S = HttpSettings().drain_timeout_s
commands = subcommands()


@commands.command(
    help=f"""Serve the API and the dashboard, without the demo.

    SIGTERM and Ctrl-C end it when the requests under way are answered, after {_DRAIN_S:g} s at the latest
    (ASSAY_HTTP__DRAIN_TIMEOUT_S). Without ASSAY_DATABASE__URL it keeps an embedded PostgreSQL under ASSAY_DATA_DIR.

    A socket that a service manager hands over (systemd's LISTEN_FDS) is used instead of the port: the next server can
    start on it while the last one ends, and no request is lost.
    """,
    epilog="Examples: assay serve · assay serve --workers 4 --no-migrate",
)
def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes that share the port")] = 1,
    port: Port = None,
    migrate: Annotated[bool, typer.Option(help="bring the database's schema up to date first")] = True,
    worker: Annotated[
        bool | None,
        typer.Option(help="start a worker for jobs beside, instead of ASSAY_JOBS__WORKER", show_default=False),
    ] = None,
) -> None:
    settings = load(port=port)
    _refuse_half_an_admin(settings)
    logs.configure(settings.log)
    try:
        with (
            in_order(),
            bind(settings) as listening,
            hosted(settings) as here,
            upgraded_once_there(here) if migrate else nullcontext(),
        ):
            refuse_unsafe(here)
            url = base_url(here, listening)
            beside = here.jobs.worker if worker is None else worker
            with worker_beside(here) as start_worker:

                def ready() -> None:
                    note(f"Assay answers on {url}")
                    if beside:
                        start_worker()

                serve_on(here, listening, workers=workers, ready=ready)
    except (PortTaken, EmbeddedServerError, NotUpgraded, Unavailable, *UNSAFE) as problem:
        fail(str(problem))


def _refuse_half_an_admin(settings: Settings) -> None:
    """Nobody could log in. `assay run` takes either alone: it has an address, and makes a password."""
    if (settings.admin_email is None) != (settings.admin_password is None):
        missing = "ASSAY_ADMIN_EMAIL" if settings.admin_email is None else "ASSAY_ADMIN_PASSWORD"
        fail(f"{missing} is not set: the first admin has an address and a password; set both, or neither", status=2)
