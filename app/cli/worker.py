"""`assay worker`."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer

from app.cli.console import fail, note, subcommands
from app.cli.environment import load
from app.cli.hosting import NoDatabase, hosted, must_exist
from app.cli.stopping import in_order
from app.core import logs
from app.core.errors import Unavailable
from app.core.scraped import CannotListen, scraped
from app.core.settings import JobsSettings, Settings
from app.db.embedded import EmbeddedServerError
from app.db.safety import UnsafeDatabase
from app.worker import work

commands = subcommands()
_GRACE_S = JobsSettings().stop_grace_s


@commands.command(
    help=f"""Run jobs: upkeep and retention when they come due, recounts and purges when somebody asks.

    Any number of workers may run, on any machine that reaches the database. SIGTERM and Ctrl-C end one when its jobs
    are done; after {_GRACE_S:g} s (ASSAY_JOBS__STOP_GRACE_S) they are queued again for another. Prometheus is answered
    on a port of its own where ASSAY_METRICS__WORKER_PORT names one.
    """,
    epilog="Examples: assay worker · assay worker --concurrency 4",
)
def worker(
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=64, help="jobs at once, instead of ASSAY_JOBS__CONCURRENCY")
    ] = None,
    beside: Annotated[int | None, typer.Option(hidden=True, help="end with this process, which started it")] = None,
) -> None:
    settings = load()
    logs.configure(settings.log)

    def ready() -> None:
        if beside is None:
            note("the worker takes jobs")

    try:
        must_exist(settings)  # one made here would stay empty: nobody migrates it, and jobs are enqueued elsewhere
        with in_order(), _told(settings, alone=beside is None), hosted(settings) as here:
            at_once = here.jobs.concurrency if concurrency is None else concurrency
            asyncio.run(work(here, concurrency=at_once, parent=beside, ready=ready))
    except (CannotListen, EmbeddedServerError, NoDatabase, Unavailable, UnsafeDatabase) as problem:
        fail(str(problem))


def _told(settings: Settings, *, alone: bool) -> AbstractContextManager[None]:
    """The metrics on a port of their own; the server that started us tells them itself."""
    port = settings.metrics.worker_port
    return scraped(settings.http.host, port, settings.metrics.token) if alone and port is not None else nullcontext()
