"""A process that migrates, to be killed; `go` holds it until the clock may run."""

import asyncio
from multiprocessing.synchronize import Event

from app.db import migrate


def run(url: str, revision: str, go: Event, *, down: bool = False) -> None:
    go.wait()
    asyncio.run(migrate.downgrade(url, revision) if down else migrate.upgrade(url, revision))
