"""The product as its own process, to be killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from app.db.embedded import EmbeddedServer

EMAIL, PASSWORD = "admin@example.com", "a-long-first-password"
READY_TIMEOUT_S = 180.0  # a start is some seconds of processor, which a busy machine gives late


def kill_postgres(data: Path) -> None:
    """SIGKILL of the postmaster of a data directory and all its children."""
    pid = int((data / "postgres/postmaster.pid").read_text().splitlines()[0])
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return  # it is down already, from the fault before this one
    for victim in (pid, *map(int, children)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


class ServedProduct:
    """`assay serve` on a data directory of its own, with its embedded database; survives being killed."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        """`arguments` of `assay serve`; the environment's settings on top of those of a test."""
        self.data = folder / "data"
        self.port = free_port()
        self.log = folder / "serve.log"
        self.environment = os.environ | {
            "ASSAY_PORT": str(self.port),
            "ASSAY_DATA_DIR": str(self.data),
            "ASSAY_ADMIN_EMAIL": EMAIL,
            "ASSAY_ADMIN_PASSWORD": PASSWORD,
            "ASSAY_LIMITS__ENABLED": "false",
            **environment,
        }
        self._command = [sys.executable, "-m", "app.cli", "serve", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """Of its embedded database."""
        return EmbeddedServer(self.data).url

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(self._command, env=self.environment, stdout=sink, stderr=sink)

    def wait_until_ready(self) -> float:
        """Seconds until ready."""
        started = time.monotonic()
        while time.monotonic() - started < READY_TIMEOUT_S:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/api/v1/system/health/ready", timeout=2).status_code == 200:
                    return time.monotonic() - started
            assert self._process is not None
            ended = self._process.poll()
            assert ended is None, f"ended by {ended} before it was ready:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)
        raise AssertionError(f"not ready in {READY_TIMEOUT_S} s:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL: no shutdown code runs; the database goes on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_database(self) -> None:
        """See `kill_postgres`."""
        kill_postgres(self.data)

    def postmaster(self) -> int:
        """Process id of its embedded database."""
        return int((self.data / "postgres/postmaster.pid").read_text().splitlines()[0])

    def stop(self) -> int:
        """SIGTERM and the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=READY_TIMEOUT_S)

    def unknown_errors(self) -> list[str]:
        """What its log has of each: the last line."""
        lines = [line for line in self.log.read_text().splitlines() if '"event":"unknown error"' in line]
        return [str(json.loads(line)["exception"]).strip().splitlines()[-1] for line in lines]

    def token(self) -> str:
        answer = httpx.post(f"{self.url}/api/v1/auth/token", data={"username": EMAIL, "password": PASSWORD}, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


def wait_for(condition: Callable[[], bool], timeout_s: float = READY_TIMEOUT_S) -> float:
    """Seconds until it holds."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_s:
            raise AssertionError(f"waited for {timeout_s} s")
        time.sleep(0.02)
    return time.monotonic() - started


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
