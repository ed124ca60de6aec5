"""A worker process: messages from the queue to the runner. The only module that knows the queue's library."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import procrastinate
from croniter import croniter
from opentelemetry.trace import Tracer
from procrastinate import JobContext, PsycopgConnector

from app.core.errors import Unavailable
from app.core.heaps import give_back
from app.core.settings import JobsSettings
from app.core.spans import NO_TRACER
from app.db.engine import Database
from app.jobs import repository
from app.jobs.job import NewJob
from app.jobs.observed import measured
from app.jobs.repository import MESSAGE, QUEUE
from app.jobs.runner import Runner, patiently
from app.jobs.task import Task

logger = logging.getLogger(__name__)

POLL_S = 1.0  # attempts that were put off are found so late; new ones are announced
RESTART_S = 1.0
GIVEN_BACK_EVERY_S = 60.0
MEASURED_EVERY_S = 5.0  # thrice as often as Prometheus asks
POOL_S = 5.0  # how long the library waits for a connection, also to say goodbye when it is told to end
CONNECT_S = 3
OPEN_S = 5.0  # then from anew: the library waits twice as long before each try to connect
SCHEDULED_BY = "schedule"
DUE = "due"  # the queue's message that a periodic job is due


class Worker:
    """Until told to stop: takes messages, rescues what others lost, and comes back when the database does."""

    def __init__(
        self,
        database: Database,
        tasks: Sequence[Task],
        settings: JobsSettings,
        *,
        concurrency: int,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._settings = settings
        self._concurrency = concurrency
        self._runner = Runner(database, tasks, settings, tracer)

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Returns when `stop` is set and the jobs under way have ended or are queued again (`stop_grace_s`)."""
        rescue = partial(_keep_on, self._runner.rescue, self._settings.heartbeat_s / 2)
        measure = partial(_keep_on, self._measure, MEASURED_EVERY_S)
        spare = partial(_keep_on, partial(asyncio.to_thread, give_back), GIVEN_BACK_EVERY_S)
        beside = [asyncio.create_task(work()) for work in (self._runner.watch, rescue, measure, spare)]
        try:
            await self._begin(stop)
            if not stop.is_set():
                ready()
            while not stop.is_set():
                await self._serve(stop)
                await self._begin(stop)  # the queue's library has forgotten what it saw come due
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _serve(self, stop: asyncio.Event) -> None:
        """Takes messages until `stop` or until the queue's library gives up, usually because the database is away."""
        serving = asyncio.create_task(self._take())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        serving.cancel()  # a graceful end: see `shutdown_graceful_timeout`
        try:
            await serving
        except asyncio.CancelledError:
            logger.debug("takes no more messages")
        except (procrastinate.exceptions.ConnectorException, TimeoutError) as error:
            logger.warning("the queue is not reachable (%s); trying again", type(error).__name__)
        except Exception:  # whatever the library meets when a database goes: a worker stays
            logger.exception("the queue's library gave up; trying again")
        await _pause(stop)

    async def _take(self) -> None:
        queue = self._queue()
        try:
            async with asyncio.timeout(OPEN_S):
                await queue.open_async()
            await queue.run_worker_async(
                queues=[QUEUE],
                concurrency=self._concurrency,
                fetch_job_polling_interval=POLL_S,
                update_heartbeat_interval=self._settings.heartbeat_s,
                stalled_worker_timeout=self._settings.stalled_s,
                shutdown_graceful_timeout=self._settings.stop_grace_s,
                delete_jobs="always",
                install_signal_handlers=False,
            )
        finally:
            await queue.close_async()  # also one that is still trying to open

    def _queue(self) -> procrastinate.App:
        dsn = self._database.dsn
        connector = PsycopgConnector(
            conninfo=dsn.url,
            min_size=1,
            max_size=3,
            timeout=POOL_S,
            kwargs={"connect_timeout": dsn.connect_timeout_s or CONNECT_S},
        )
        queue = procrastinate.App(connector=connector)

        async def attempt(context: JobContext, *, job: int, attempt: int) -> None:
            await self._runner.deliver(job, attempt, _worker_of(context))

        queue.task(name=MESSAGE, queue=QUEUE, pass_context=True)(attempt)
        for task in self._tasks:
            if task.cron is not None:
                self._schedule(queue, task.kind, task.cron)
        return queue

    def _schedule(self, queue: procrastinate.App, kind: str, cron: str) -> None:
        async def due(timestamp: int) -> None:
            await patiently(partial(self._enqueue, kind))

        queue.periodic(cron=cron, periodic_id=kind)(queue.task(name=f"{DUE} {kind}", queue=QUEUE)(due))

    async def _enqueue(self, kind: str) -> None:
        new = NewJob(kind, SCHEDULED_BY, {}, single=f"{SCHEDULED_BY} {kind}")
        async with self._database.transaction() as connection:
            await repository.enqueue(connection, new)

    async def _begin(self, stop: asyncio.Event) -> None:
        """Catches up, once the database answers."""
        while not stop.is_set():
            try:
                await self._catch_up()
            except Unavailable:
                await _pause(stop)
            except Exception:
                logger.exception("what came due meanwhile can't be queued; trying again")
                await _pause(stop)
            else:
                return

    async def _catch_up(self) -> None:
        """What was due while no worker was there, or no database."""
        for task in self._tasks:
            if task.cron is not None:
                last_due = croniter(task.cron, datetime.now(UTC)).get_prev(datetime)
                async with self._database.connection() as connection:
                    made = await repository.created_since(connection, task.kind, last_due)
                if not made:
                    await self._enqueue(task.kind)

    async def _measure(self) -> None:
        async with self._database.connection() as connection:
            measured(await repository.state(connection, self._settings.stalled_s))


async def _keep_on(work: Callable[[], Awaitable[object]], every_s: float) -> None:
    """Outside the queue: a rescue that waited in it could itself be lost."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await work()
        except Unavailable:
            continue
        except Exception:
            logger.exception("what is done every %g s failed; the next time repeats it", every_s)


async def _pause(stop: asyncio.Event) -> None:
    """Between two tries; not when it is over."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), RESTART_S)


def _worker_of(context: JobContext) -> int:
    worker: Any = context.job.worker_id
    if worker is None:
        raise ValueError("the queue handed out a message without saying to whom")
    return int(worker)
