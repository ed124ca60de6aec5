"""The worker that `run` and `serve` start beside themselves; only that process loads what jobs need.

What it counts, the server tells: both count into the folder of several processes, or it alone does and a server of one
process, which counts in memory, adds it.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.hosting import address
from app.core import shared_metrics, telemetry
from app.core.settings import Settings

RESTART_S = 1.0
END_S = 5.0  # beyond the grace of the jobs under way
SHARED = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def worker_beside(settings: Settings) -> Iterator[Callable[[], None]]:
    """What starts a worker in a process of its own; should it die it is started again, and it ends with the block."""
    beside = _Beside(settings)
    watching = threading.Thread(target=beside.watch, daemon=True)

    def start() -> None:
        share_metrics(settings)
        watching.start()

    try:
        yield start
    finally:
        beside.end()
        if watching.ident is not None:
            watching.join(settings.jobs.stop_grace_s + END_S)
        beside.kill()


class _Beside:
    def __init__(self, settings: Settings) -> None:
        self._command = [sys.executable, "-m", "app.cli", "worker", "--beside", str(os.getpid())]
        self._settings = settings
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self) -> None:
        while not self._stop.is_set():
            with self._turn:
                if self._stop.is_set():
                    return
                self._process = subprocess.Popen(self._command, env=environment(self._settings))  # noqa: S603
            self._process.wait()
            self._stop.wait(RESTART_S)

    def end(self) -> None:
        with self._turn:
            self._stop.set()
            if self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


def share_metrics(settings: Settings) -> None:
    """A new folder for what the worker counts, unless there is one that all of this machine count into."""
    if not os.environ.get(SHARED):
        shared_metrics.empty(_folder(settings))
        telemetry.tell_also(_folder(settings))


def _folder(settings: Settings) -> Path:
    return settings.data_dir.resolve() / "metrics"


def environment(settings: Settings) -> dict[str, str]:
    """Ours and where the database is: arguments could be read by everybody."""
    return os.environ | {
        "ASSAY_DATABASE__URL": address(settings),
        "ASSAY_DATA_DIR": str(settings.data_dir.resolve()),
        "ASSAY_LOG__LEVEL": settings.log.level,
        "ASSAY_LOG__FORMAT": settings.log.format,
        SHARED: os.environ.get(SHARED) or str(_folder(settings)),
    }
