"""The web server: one process, or several that share a socket. The parent has bound the port before anything starts."""

import math
import os
import socket
from collections.abc import Callable
from pathlib import Path

import structlog
from fastapi import FastAPI
from uvicorn import Server

from app.cli.beside import SHARED, counted_into
from app.cli.connection import BoundedConfig
from app.cli.hosting import address
from app.cli.memory import resting, spare
from app.cli.several import WORKER_START_S, Several, end_with_parent
from app.core import logs, shared_metrics
from app.core.heaps import few_heaps
from app.core.settings import Settings
from app.main import create_app

BACKLOG = 2048
HANDED_OVER = 3  # the first file that a service manager hands over, sd_listen_fds(3)
GONE_MS = 30_000  # a client whose machine acknowledges nothing for so long is gone
log = structlog.get_logger()


class PortTaken(Exception):  # noqa: N818
    """Somebody listens there already."""


def bind(settings: Settings) -> socket.socket:
    """The listening socket; port 0 takes any free one. Bound first, so that two servers never start half.

    A service manager may hold the socket and hand it over (systemd's LISTEN_FDS): then the next server starts on it
    while the last one ends, and no connection is refused in between.
    """
    handed_over = os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1"
    listening = socket.socket(fileno=HANDED_OVER) if handed_over else _bound(settings)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted sockets inherit it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_MS)
    listening.set_inheritable(True)
    return listening


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.http.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.http.host, settings.port))
        listening.listen(BACKLOG)  # from here on nobody else can bind it
    except OSError as error:
        listening.close()
        raise PortTaken(f"can't listen on {settings.http.host}, port {settings.port}: {error.strerror}") from error
    return listening


def base_url(settings: Settings, listening: socket.socket) -> str:
    """How a browser on this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.http.host, settings.http.host)  # noqa: S104
    return f"http://{host}:{listening.getsockname()[1]}"


def serve(settings: Settings, listening: socket.socket, *, workers: int, ready: Callable[[], None]) -> None:
    """Returns when a signal has ended it and requests under way were answered (`http.drain_timeout_s`)."""
    logs.configure(settings.log)
    if counts_apart(settings, workers):
        log.warning(
            "each process counts limits for itself; ASSAY_REDIS_URL lets them count together", processes=workers
        )
    if workers > 1:
        _prepare_workers(settings)
    if workers == 1:
        _Single(_config(settings), ready).run(sockets=[listening])
        return
    Several(_config(settings, workers), [listening], ready).run()


def counts_apart(settings: Settings, workers: int) -> bool:
    """Whether what limits let through is multiplied, log-ins too. Told, not refused: a proxy in front may limit."""
    return settings.production and workers > 1 and settings.redis_url is None


def worker_app() -> object:
    """The application of a worker; the parent has put everything it needs into the environment."""
    few_heaps()
    end_with_parent()
    settings = Settings()
    logs.configure(settings.log)
    return _application(settings)


def _application(settings: Settings) -> FastAPI:
    with resting():
        app = create_app(settings)
    spare()
    return app


def _config(settings: Settings, workers: int = 1) -> BoundedConfig:
    return BoundedConfig(
        _application(settings) if workers == 1 else "app.cli.server:worker_app",
        factory=workers > 1,
        workers=workers,
        # By name, so that their absence is an error: on the asyncio loop several workers answer in 44 ms instead of
        # 0.8, because the accepted sockets lack TCP_NODELAY and head and body are two writes.
        loop="uvloop",
        http="app.cli.connection:Connection",
        head_timeout_s=settings.http.head_timeout_s,
        ws="none",
        log_config=None,
        access_log=False,  # the middleware logs requests, with their ids
        proxy_headers=False,  # anybody could claim an address
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_worker_healthcheck=WORKER_START_S,  # an import on a busy machine takes longer than the usual 5 s
        timeout_graceful_shutdown=math.ceil(settings.http.drain_timeout_s),
        lifespan="on",
    )


def _prepare_workers(settings: Settings) -> None:
    """Workers are new processes that see only the environment."""
    os.environ["ASSAY_DATABASE__URL"] = address(settings)
    os.environ["ASSAY_PORT"] = str(settings.port)
    os.environ["ASSAY_DATA_DIR"] = str(settings.data_dir.resolve())
    if folder := os.environ.get(SHARED):
        shared_metrics.empty(Path(folder))
    else:
        os.environ[SHARED] = str(counted_into(settings))


class _Single(Server):
    """Says when it answers."""

    def __init__(self, config: BoundedConfig, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
