"""The worker: runs jobs and what comes due by itself. Knows no HTTP."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

import asyncpg
import structlog

from app.audit.service import AuditChain, sealing_keys
from app.audit.tasks import closing
from app.auth.secret import derived, secrets_of
from app.core import logs
from app.core.clock import SystemClock
from app.core.dsn import NAME
from app.core.errors import Unavailable
from app.core.health import Status
from app.core.settings import DatabaseSettings, Settings
from app.core.spans import Spans, identified
from app.db.engine import Database
from app.db.faults import cause_of
from app.db.safety import demand_safe
from app.db.traced import database_on
from app.idempotency.service import KEPT_ANSWERS, Claims
from app.jobs.task import Task
from app.jobs.tasks import forgetting, sweeping
from app.jobs.worker import Worker
from app.models.catalogue import Catalogue
from app.system.repository import DatabaseWatch
from app.system.schema import SchemaState
from app.tracking import tasks as tracking

log = structlog.get_logger()

RETRY_S = 0.5
STATEMENT_S = 60.0  # jobs count and rewrite whole days; nobody waits for their answer
POOL_S = 10.0
AWAY = (Unavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def tasks(settings: Settings, database: Database) -> tuple[Task, ...]:
    """Everything that can be asked for, or comes due."""
    clock = SystemClock()
    catalogue = Catalogue(database, settings.retention.days)
    return (
        *tracking.tasks(database, clock, catalogue),
        closing(AuditChain(database, clock, sealing_keys(settings))),
        sweeping(Claims(database, clock, *(derived(secret, KEPT_ANSWERS) for secret in secrets_of(settings)))),
        forgetting(database),
    )


async def work(
    settings: Settings,
    *,
    concurrency: int,
    parent: int | None = None,
    ready: Callable[[], None] = lambda: None,
    known: Callable[[Settings, Database], Sequence[Task]] = tasks,
) -> None:
    """Until SIGTERM, SIGINT or the end of `parent`; then jobs under way end, or are queued again (`stop_grace_s`).

    Raises `UnsafeDatabase` in production.
    """
    spans = Spans(settings.telemetry)
    logs.configure(settings.log, *([identified] if spans.on else []))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    orphaned = None if parent is None else asyncio.create_task(_orphaned(parent, stop))
    database = database_on(_url(settings), _patient(settings.database, concurrency), spans)
    try:
        if not await _opened(database, settings, stop):
            return
        tasks_known = known(settings, database)
        worker = Worker(database, tasks_known, settings.jobs, concurrency=concurrency, tracer=spans.tracer)
        await worker.run(stop, ready)
    finally:
        await database.close()
        await spans.close()
        if orphaned is not None:
            orphaned.cancel()


async def _orphaned(parent: int, stop: asyncio.Event) -> None:
    """Who started us was killed, and nobody else would end us."""
    while os.getppid() == parent:  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(RETRY_S)
    stop.set()


async def _opened(database: Database, settings: Settings, stop: asyncio.Event) -> bool:
    """Whether the database is there and migrated; waits for both until `stop`, and not for one that is unsafe."""
    watch = DatabaseWatch(database.url)
    try:
        return await _waited(database, settings, SchemaState(watch), stop)
    finally:
        await watch.close()


async def _waited(database: Database, settings: Settings, schema: SchemaState, stop: asyncio.Event) -> bool:
    told = ""
    while not stop.is_set():
        try:
            finding = await schema.finding()
            if finding.status is not Status.UNHEALTHY:
                await demand_safe(database, settings)
                await database.open()
                return True
            reason = f"the database is not migrated: {finding.detail}"
        except AWAY as error:
            reason = f"the database at {database.dsn} is not reachable: {cause_of(error)} ({NAME})"
        if reason != told:
            log.warning("the worker waits", reason=reason)
            told = reason
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), RETRY_S)
    return False


def _patient(settings: DatabaseSettings, concurrency: int) -> DatabaseSettings:
    connections = {
        "pool_size": 2,
        "hot_pool_size": 3 + 3 * concurrency,
    }  # a rebuild that tells its progress holds three
    return settings.model_copy(update={"command_timeout_s": STATEMENT_S, "pool_timeout_s": POOL_S, **connections})


def _url(settings: Settings) -> str:
    if settings.database.url is None:
        raise ValueError("settings.database.url is unset: start an embedded server first and hand its URL over")
    return settings.database.url.get_secret_value()
