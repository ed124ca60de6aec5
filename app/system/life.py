"""A process from its start to its end: wait for the database, open, work, drain, close."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

import structlog

from app.core.dsn import NAME
from app.core.edge import Gate, Phase
from app.core.errors import Unavailable
from app.core.health import Finding, HealthProbe, Status
from app.db.engine import Database
from app.db.faults import as_unavailable, cause_of
from app.system.health import Health
from app.system.repository import DatabaseWatch
from app.system.schema import SchemaState

log = structlog.get_logger()

RETRY_S = 0.5
RESTART_S = 1.0

Loop = Callable[[asyncio.Event], Awaitable[None]]


@runtime_checkable
class Draining(Protocol):
    """A service that may hold work after the requests that brought it have gone."""

    async def drain(self) -> None: ...


@runtime_checkable
class Looping(Protocol):
    """A service with work of its own in the background."""

    async def run(self, stop: asyncio.Event) -> None: ...


class Life:
    """`begin` returns after the first attempt to open; without a database it goes on trying in the background.

    Until it has succeeded the gate is closed: every request but health is answered 503.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        health: Health,
        database: Database,
        watch: DatabaseWatch,
        schema: SchemaState,
        probes: Sequence[HealthProbe],
        draining: Sequence[Draining],
        owns_database: bool,
    ) -> None:
        self._gate = gate
        self._health = health
        self._database = database
        self._watch = watch
        self._schema = schema
        self._probes = probes
        self._draining = draining
        self._owns = owns_database
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._waits_for = "", ""  # the reason, and what the driver says
        self._opened = HealthProbe("start", self._found, critical=True)

    async def begin(self, prepare: Callable[[], Awaitable[object]], loops: Sequence[Loop]) -> None:
        """`prepare` runs once, when the database is there and migrated; `loops` run from then on."""
        for probe in self._probes:
            if probe.critical:
                await self._health.ask(probe)
        opened = await self._open(prepare, loops)
        if not opened:
            await self._health.ask(self._opened)
        self._start(self._health.watch([*self._probes, self._opened], self._stop))
        if not opened:
            self._start(self._keep_opening(prepare, loops))

    async def end(self, drain_timeout_s: float) -> None:
        """No new work, the work under way finishes, the loops stop, connections close."""
        self._gate.drain()
        if not await self._gate.emptied(drain_timeout_s):
            log.warning("requests are still under way at the end", under_way=self._gate.under_way)
        await self._drained(drain_timeout_s)
        self._stop.set()
        _, late = await asyncio.wait(self._tasks, timeout=drain_timeout_s) if self._tasks else (set(), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watch.close()
        if self._owns:
            await self._database.close()

    async def _drained(self, timeout_s: float) -> None:
        """What a client who left had sent is stored all the same, so the database must stay until then."""
        try:
            await asyncio.wait_for(asyncio.gather(*(service.drain() for service in self._draining)), timeout_s)
        except TimeoutError:
            log.warning("work is still under way at the end")

    async def _open(self, prepare: Callable[[], Awaitable[object]], loops: Sequence[Loop]) -> bool:
        """Raises what no waiting mends."""
        try:
            with as_unavailable():
                finding = await self._schema.finding()
                if finding.status is Status.UNHEALTHY:
                    self._wait(f"the database is not migrated: {finding.detail}")
                    return False
                if self._owns and not self._database.opened:
                    await self._database.open()
                await prepare()
        except Unavailable as error:
            self._wait(error.detail.partition(";")[0], cause=cause_of(error))
            return False
        self._gate.open()
        await self._health.ask(self._opened)
        for loop in loops:
            self._start(self._supervise(loop))
        return True

    async def _keep_opening(self, prepare: Callable[[], Awaitable[object]], loops: Sequence[Loop]) -> None:
        while not await self._stopped_within(RETRY_S):
            try:
                if await self._open(prepare, loops):
                    return
            except Exception as error:  # somebody may mend that, too, and nobody else would go on
                self._wait(f"the start failed: {type(error).__name__}", cause=str(error))

    def _wait(self, reason: str, cause: str = "") -> None:
        """The log is told once of each, and not twice a second."""
        if (reason, cause) != self._waits_for:
            where = f"{self._database.dsn} ({NAME})"
            log.warning("the start waits", reason=reason, cause=cause, database=where)
            self._waits_for = reason, cause

    async def _found(self) -> Finding:
        if self._gate.phase is Phase.STARTING:
            return Finding(Status.UNHEALTHY, self._waits_for[0])
        return Finding(Status.HEALTHY)

    async def _supervise(self, loop: Loop) -> None:
        """A background loop that fails is told of and started again."""
        while not self._stop.is_set():
            try:
                await loop(self._stop)
            except Unavailable:
                log.warning("a background loop waits for the database", loop=loop.__qualname__)
            except Exception:  # the next turn may well succeed
                log.exception("a background loop failed", loop=loop.__qualname__)
            await self._stopped_within(RESTART_S)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _start(self, work: "Awaitable[None]") -> None:
        self._tasks.append(asyncio.ensure_future(work))
