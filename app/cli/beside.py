"""The worker that `run` and `serve` start beside themselves; only that process loads what jobs need.

What it counts, the server tells: both count into the folder of several processes, or it alone does and a server of one
process, which counts in memory, adds it.
"""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from app.cli import ourselves
from app.cli.hosting import address
from app.core import shared_metrics, telemetry
from app.core.settings import Settings

log = structlog.get_logger()

RESTART_S = 1.0
END_S = 5.0  # beyond the grace of the jobs under way
SHARED = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def worker_beside(settings: Settings) -> Iterator[Callable[[], None]]:
    """What starts a worker in a process of its own; should it die it is started again, and it ends with the block."""
    beside = _Beside(settings)
    watching = threading.Thread(target=beside.watch, daemon=True)

    try:
        yield watching.start
    finally:
        beside.end()
        if watching.ident is not None:
            watching.join(settings.jobs.stop_grace_s + END_S)
        beside.kill()


class _Beside:
    def __init__(self, settings: Settings) -> None:
        self._command = ourselves.command("app.cli", "worker", "--beside", str(os.getpid()))
        self._settings = settings
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._run_one()
            except OSError as error:  # as many processes as there may be, or no room on the disk: it may pass
                log.warning("the worker beside can't be started now", error=str(error))
            self._stop.wait(RESTART_S)

    def _run_one(self) -> None:
        """Returns when it has ended."""
        if self._folder is None:
            self._folder = share_metrics(self._settings)
        with self._turn:
            if self._stop.is_set():
                return
            self._process = subprocess.Popen(self._command, env=environment(self._settings, self._folder))  # noqa: S603
        self._process.wait()

    def end(self) -> None:
        with self._turn:
            self._stop.set()
            if self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


def share_metrics(settings: Settings) -> Path:
    """Where the worker counts: a folder that we tell from here on, unless there is one that all of us count into."""
    if given := os.environ.get(SHARED):
        return Path(given)
    folder = counted_into(settings)
    telemetry.tell_also(folder)
    return folder


def counted_into(settings: Settings) -> Path:
    """A new folder for what the processes that this one starts count."""
    return shared_metrics.own_folder(settings.data_dir.resolve() / "metrics")


def environment(settings: Settings, metrics: Path) -> dict[str, str]:
    """Ours, where the database is and where to count: arguments could be read by everybody."""
    return os.environ | {
        "ASSAY_DATABASE__URL": address(settings),
        "ASSAY_DATA_DIR": str(settings.data_dir.resolve()),
        "ASSAY_LOG__LEVEL": settings.log.level,
        "ASSAY_LOG__FORMAT": settings.log.format,
        SHARED: str(metrics),
    }
