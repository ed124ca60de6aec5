"""Faults that are put in, seen to bite, taken out, seen to be gone, and cleaned up whatever happens in between."""

import asyncio
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from app.db.embedded import EmbeddedServer
from tests.support.served import ServedProduct

HEALTH = "/api/v1/system/health"
POLL_S = 0.05
PATIENCE_S = 240.0  # for machines that do much else; a quiet one takes seconds


class Fault(ABC):
    """One kind of fault on one product."""

    @abstractmethod
    async def set_up(self) -> None:
        """Before anything is broken."""

    @abstractmethod
    async def inject(self) -> None: ...

    @abstractmethod
    async def propagated(self) -> bool:
        """Whether it bites."""

    @abstractmethod
    async def recover(self) -> None: ...

    @abstractmethod
    async def recovered(self) -> bool:
        """Whether all is as before."""

    @abstractmethod
    async def clean_up(self) -> None:
        """Runs whatever happened; twice does no harm."""


@dataclass
class Times:
    """Seconds from the injection until it bit, and from the repair until all was well."""

    propagated_s: float = 0.0
    recovered_s: float = 0.0


@asynccontextmanager
async def inflicted(fault: Fault) -> AsyncIterator[Times]:
    """The block runs while the fault bites; `recovered_s` is known behind it."""
    times = Times()
    await fault.set_up()
    try:
        await fault.inject()
        times.propagated_s = await until(fault.propagated)
        yield times
        await fault.recover()
        times.recovered_s = await until(fault.recovered)
    finally:
        await fault.clean_up()


async def until(condition: Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> float:
    """Seconds until it holds."""
    begun = time.monotonic()
    while not await condition():
        assert time.monotonic() - begun < patience_s, f"waited for {patience_s} s"
        await asyncio.sleep(POLL_S)
    return time.monotonic() - begun


async def ready(product: ServedProduct) -> bool:
    return await health(product, "ready") == 200


async def health(product: ServedProduct, which: str) -> int:
    """Its status; 0 without an answer in 2 s."""
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=2) as client:
            return (await client.get(f"{product.url}{HEALTH}/{which}")).status_code
    return 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Frozen(Fault):
    """All processes of the database stop (SIGSTOP); connections stay, and new ones are taken in vain."""

    def __init__(self, product: ServedProduct) -> None:
        self._product = product
        self._stopped: list[int] = []

    async def set_up(self) -> None:
        await until(lambda: ready(self._product))

    async def inject(self) -> None:
        postmaster = self._product.postmaster()
        os.kill(postmaster, signal.SIGSTOP)  # first, so that it starts no more
        self._stopped = [postmaster, *children(postmaster)]
        for pid in self._stopped[1:]:
            os.kill(pid, signal.SIGSTOP)

    async def propagated(self) -> bool:
        return await health(self._product, "ready") == 503

    async def recover(self) -> None:
        for pid in reversed(self._stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._stopped = []

    async def recovered(self) -> bool:
        return await ready(self._product)

    async def clean_up(self) -> None:
        await self.recover()


class Terminating(Fault):
    """Every connection to the database is ended, again and again (`pg_terminate_backend`)."""

    EVERY_S = 0.2

    def __init__(self, product: ServedProduct) -> None:
        self._url = EmbeddedServer(product.data).url
        self._product = product
        self._task: asyncio.Task[None] | None = None
        self.ended = 0

    async def set_up(self) -> None:
        await until(lambda: ready(self._product))

    async def inject(self) -> None:
        self._task = asyncio.create_task(self._terminate())

    async def propagated(self) -> bool:
        return self.ended > 0

    async def recover(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def recovered(self) -> bool:
        return await ready(self._product)

    async def clean_up(self) -> None:
        await self.recover()

    async def _terminate(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            while True:
                self.ended += await connection.fetchval(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                    "where backend_type = 'client backend' and pid <> pg_backend_pid()"
                )
                await asyncio.sleep(self.EVERY_S)
        finally:
            connection.terminate()
