"""The `assay` command as its own process, in a process group of its own as a shell would start it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

EMAIL, PASSWORD = "admin@example.com", "a-long-first-password"
PATIENCE_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**settings: str) -> dict[str, str]:
    """Ours without the settings of whoever runs the tests."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "PROMETHEUS_"))}
    return mine | settings


class Running:
    """A command that goes on; ended, with its whole group, when the block ends."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        command: Sequence[str] = (sys.executable, "-m", "app.cli"),
        **settings: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = folder / "data"
        self.log = folder / f"{arguments[0]}.log"
        self.environment = clean_environment(
            **({"ASSAY_PORT": str(self.port), "ASSAY_DATA_DIR": str(self.data)} | settings)
        )
        self._command = [*command, *arguments]

    def __enter__(self) -> Self:
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                self._command, env=self.environment, stdout=sink, stderr=sink, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.signal_group(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE_S)
        with contextlib.suppress(ProcessLookupError):
            self.signal_group(signal.SIGKILL)
        self.process.wait()

    def signal_group(self, number: int) -> None:
        """As a terminal does on Ctrl-C, and a supervisor that ends everything at once."""
        os.killpg(self.process.pid, number)

    def output(self) -> str:
        return self.log.read_text()

    def wait_until_ready(self) -> float:
        """Seconds until every part says it is ready."""
        return self.wait_for(self._ready)

    def wait_for(self, condition: object) -> float:
        """Seconds until `condition()` holds."""
        assert callable(condition)
        started = time.monotonic()
        while time.monotonic() - started < PATIENCE_S:
            if condition():
                return time.monotonic() - started
            assert self.process.poll() is None, self.output()[-3000:]
            time.sleep(0.02)
        raise AssertionError(f"waited for {PATIENCE_S} s:\n{self.output()[-3000:]}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code after a signal to the command alone."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def postmaster(self) -> int:
        """Process id of its embedded database."""
        return int((self.data / "postgres/postmaster.pid").read_text().splitlines()[0])

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v1/system/health/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


def completed(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    environment = clean_environment(**({"ASSAY_DATA_DIR": str(folder / "data")} | settings))
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
