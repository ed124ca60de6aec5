"""Where a benchmark plays: a durable embedded database and the whole product, served as a user would serve it."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from app.db.embedded import EmbeddedServer

EMAIL, PASSWORD = "bench@example.com", "a-password-of-the-benchmarks"
READY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A running product: `port`, an admin's token, the database's URL, the server's process id."""

    port: int
    token: str
    database_url: str
    pid: int
    ready_s: float

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}/api/v1",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
        )

    def model(self, model_id: str, **model_info: object) -> None:
        """Sets a model up; the answer must say so."""
        with self.client() as client:
            answer = client.post(
                f"/models/{model_id}/tracking/setup",
                json={
                    "model_info": {
                        "model_id": model_id,
                        "model_type": "bench",
                        "training_data_hash": "0",
                        **model_info,
                    },
                    "dataset_config": {},
                    "monitoring_config": {},
                },
            )
            answer.raise_for_status()

    def settle(self) -> None:
        """Waits until folding has caught up and vacuums, so that two sizes are measured in the same state.

        Autovacuum does the same once a table has grown by a fifth; until then the first reader of a page pays for it.
        Raises `TimeoutError` where folding doesn't catch up.
        """
        with self.client() as client:
            for _ in range(600):
                parts = client.get("/system/health").json()["components"]
                if parts["folding"]["status"] == "healthy":
                    break
                time.sleep(0.5)
            else:
                raise TimeoutError("folding has not caught up in 300 s: what is measured now would not be comparable")
        asyncio.run(_vacuum(self.database_url))
        time.sleep(3)

    def key(self, *scopes: str) -> str:
        """An API key with these scopes."""
        with self.client() as client:
            answer = client.post("/api-keys", json={"name": "bench", "scopes": list(scopes)})
            answer.raise_for_status()
            return str(answer.json()["key"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _vacuum(url: str) -> None:
    connection = await asyncpg.connect(url, command_timeout=600)
    await connection.execute("vacuum (analyze) prediction, label")
    await connection.close()


@contextlib.contextmanager
def database() -> Iterator[EmbeddedServer]:
    """An embedded server as the product starts it: everything durable."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def served(url: str, *, workers: int = 1) -> Iterator[Stage]:
    """The product on a database; limits are counted, but set so high that none is met."""
    port = free_port()
    environment = os.environ | {
        "ASSAY_PORT": str(port),
        "ASSAY_DATABASE__URL": url,
        "ASSAY_ADMIN_EMAIL": EMAIL,
        "ASSAY_ADMIN_PASSWORD": PASSWORD,
        "ASSAY_LIMITS__DEFAULT": "100000000/minute",
        "ASSAY_LIMITS__KEY_REQUESTS": "100000000/minute",
        "ASSAY_LIMITS__INGEST_ROWS": "100000000000/minute",
        "ASSAY_LOG__LEVEL": "warning",
    }
    subprocess.run([sys.executable, "-m", "app.cli", "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "app.cli", "serve", "--workers", str(workers)], env=environment)
    try:
        ready = _wait(port, process, started)
        yield Stage(port, _token(port), url, process.pid, ready)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(port: int, process: subprocess.Popen[bytes], started: float) -> float:
    while time.perf_counter() - started < READY_TIMEOUT_S:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/api/v1/system/health/ready", timeout=2).status_code == 200:
                return time.perf_counter() - started
        time.sleep(0.02)
    raise SystemExit("the server was not ready in time")


def _token(port: int) -> str:
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/auth/token", data={"username": EMAIL, "password": PASSWORD}, timeout=30
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])
