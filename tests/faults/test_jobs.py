"""kill -9 of workers and of the database while jobs run: none lost, none done twice, soon begun again."""

import asyncio
import contextlib
import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from app.core.settings import DatabaseSettings
from app.db import migrate
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.jobs import repository
from app.jobs.job import NewJob
from app.jobs.runner import MAX_FAILURES
from tests.faults.effects import TABLES, run, said_in
from tests.support.served import kill_postgres

PATIENCE_S = 60.0


SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.faults.effects"])  # a worker starts in milliseconds, not in a second of imports


class Workers:
    """Worker processes, to be killed; `instead`: each killed one is followed by another, as a supervisor would do."""

    def __init__(self, url: str, plan: "Plan", folder: Path) -> None:
        """`folder`: what each says is kept there."""
        self._arguments = (url, plan.heartbeat_s, plan.stalled_s, folder)
        self._plan, self._folder = plan, folder
        self.running: list[ForkServerProcess] = []
        self.killed: dict[int | None, float] = {}  # pid -> when
        for _ in range(plan.workers):
            self.begin()

    def begin(self) -> None:
        process = SPAWN.Process(target=run, args=self._arguments)
        process.start()
        self.running.append(process)

    def kill(self, draw: random.Random) -> None:
        victim = self.running.pop(draw.randrange(len(self.running)))
        victim.kill()
        self.killed[victim.pid] = time.time()
        victim.join()
        if self._plan.instead:
            self.begin()

    def stop(self) -> list[int | None]:
        """Exit codes after SIGTERM."""
        for process in self.running:
            process.terminate()
            process.join(PATIENCE_S)
        return [process.exitcode for process in self.running]

    def ended(self) -> list[str]:
        """Of each that runs no more: how it ended, and the last that it said."""
        gone = [process for process in self.running if not process.is_alive()]
        return [f"{one.exitcode}: {said_in(self._folder, one.pid).read_text()[-5000:]}" for one in gone]


@contextlib.contextmanager
def workers(url: str, plan: "Plan", folder: Path) -> Iterator[Workers]:
    started = Workers(url, plan, folder)
    try:
        yield started
    finally:
        for process in started.running:
            process.kill()
            process.join()


@dataclass(frozen=True)
class Plan:
    kills: int
    jobs: int
    workers: int = 4
    instead: bool = False
    heartbeat_s: float = 1.0
    stalled_s: float = 3.0
    retried_within_s: float = 6.0
    pause_s: float = 0.5  # before a kill, at most
    seconds: tuple[float, float] = (0.3, 2.5)  # that a job takes


SMOKE = Plan(3, 10)
LONG = Plan(60, 300, instead=True, pause_s=3.0)
PRODUCTION = Plan(
    4, 30, instead=True, heartbeat_s=10.0, stalled_s=30.0, retried_within_s=60.0, pause_s=5.0, seconds=(10.0, 30.0)
)


@pytest.mark.fault("F4", "F6", "G7")
class TestKilledWorkers:
    @pytest.mark.parametrize(
        "plan",
        [
            pytest.param(SMOKE, marks=pytest.mark.smoke),
            pytest.param(LONG, marks=pytest.mark.long),
            pytest.param(PRODUCTION, marks=pytest.mark.long),
        ],
        ids=["smoke", "long", "production"],
    )
    async def test_lose_no_job_and_do_none_twice(
        self, database_url: str, draw: random.Random, plan: Plan, tmp_path: Path
    ) -> None:
        database = Database(database_url, DatabaseSettings())
        await database.open()
        async with database.connection() as connection:
            await connection.execute(TABLES)
        with workers(database_url, plan, tmp_path) as started:
            await there(database, plan)
            jobs = await enqueue(database, draw, plan)
            for _ in range(plan.kills):
                await at_work(database)
                await asyncio.sleep(draw.uniform(0.0, plan.pause_s))
                await asyncio.to_thread(started.kill, draw)
                if plan.instead:
                    await there(database, plan)
            await all_ended(database)
            codes = await asyncio.to_thread(started.stop)
        await report(database, jobs, plan, f"{plan.kills} kills of workers", started.killed)
        await database.close()
        assert set(codes) <= ({0, -signal.SIGTERM} if plan.instead else {0})  # the last one may not have begun


@pytest.mark.fault("F7")
class TestAKilledDatabase:
    async def test_ends_jobs_once_and_no_worker(self, folder: Path, tmp_path: Path) -> None:
        """Queue and database go together while jobs run, and while a worker starts."""
        plan = Plan(1, 4, workers=2, seconds=(1.0, 2.0))
        server = EmbeddedServer(folder)
        server.start()
        try:
            await migrate.upgrade(server.url)
            database = Database(server.url, DatabaseSettings())
            await database.open()
            async with database.connection() as connection:
                await connection.execute(TABLES)
            with workers(server.url, plan, tmp_path) as started:
                await there(database, plan)
                jobs = await enqueue(database, random.Random(1), plan)
                await at_work(database)
                await asyncio.to_thread(kill_postgres, folder)
                started.begin()
                await all_ended(database)
                assert not started.ended(), "\n".join(started.ended())
            await report(database, jobs, plan, "1 kill of the database", {})
            await database.close()
        finally:
            server.stop()


async def enqueue(database: Database, draw: random.Random, plan: Plan) -> list[int]:
    made = []
    for _ in range(plan.jobs):
        async with database.transaction() as connection:
            new = NewJob("effect", "test", {"seconds": draw.uniform(*plan.seconds)})
            made.append((await repository.enqueue(connection, new)).id)
    return made


async def there(database: Database, plan: Plan) -> None:
    """Returns when the workers take jobs; one may still be starting."""
    alive = f"last_heartbeat > now() - interval '{1.5 * plan.heartbeat_s} s'"
    await _until(database, f"select count(*) >= {plan.workers - 1} from procrastinate_workers where {alive}")


async def at_work(database: Database) -> None:
    """Returns when a job runs, or none is left that could."""
    await _until(
        database,
        "select exists (select from job where status = 'running') "
        "or not exists (select from job where status = 'queued')",
    )


async def all_ended(database: Database) -> None:
    """Returns when no job is left to do, nor a message that somebody lost."""
    await _until(
        database,
        "select not exists (select from job where status in ('queued', 'running')) "
        "and not exists (select from procrastinate_jobs)",
    )


async def _until(database: Database, question: str) -> None:
    ends = time.monotonic() + 20 * PATIENCE_S
    while time.monotonic() < ends:
        with contextlib.suppress(Exception):  # the database may be the victim
            async with database.connection() as connection:
                if await connection.fetchval(question):
                    return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited in vain: {question}")


async def report(
    database: Database, jobs: list[int], plan: Plan, what: str, killed: Mapping[int | None, float]
) -> None:
    """Counts, printed before they are judged."""
    async with database.connection() as connection:
        status = dict(await connection.fetch("select id, status from job where kind = 'effect'"))
        effects = Counter(row["job"] for row in await connection.fetch("select job from effect"))
        again = await connection.fetch(
            "select a.pid, extract(epoch from b.at)::float8 as at from begun a join begun b "
            "on b.job = a.job and b.attempt = a.attempt + 1"
        )
    ends = Counter(status[job] for job in jobs)
    lost = [job for job in jobs if status[job] == "succeeded" and not effects[job]]
    twice = [job for job, count in effects.items() if count > 1]
    longest = max((row["at"] - killed[row["pid"]] for row in again if row["pid"] in killed), default=0.0)
    print(
        f"{what}, {len(jobs)} jobs: {dict(ends)}, {len(again)} begun again; lost {len(lost)}, done twice {len(twice)}; "
        f"from the kill to the next attempt at most {longest:.1f} s"
    )
    assert (lost, twice) == ([], [])
    assert ends["succeeded"] + ends["failed"] == len(jobs)  # a job that saw three workers die is given up
    assert ends["failed"] <= plan.kills // MAX_FAILURES
    assert len(effects) == ends["succeeded"]
    assert longest <= plan.retried_within_s
