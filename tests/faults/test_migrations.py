"""Migrations go up and down again, one process at a time, and wholly or not at all, whenever they are killed."""

import asyncio
import itertools
import multiprocessing
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from app.db import migrate
from app.db.embedded import EmbeddedServer, binaries
from tests.faults.migrating import run
from tests.support.counts import Counts, forms

BASE = "base"
REVISIONS = [BASE, *reversed([script.revision for script in ScriptDirectory(str(migrate.MIGRATIONS)).walk_revisions()])]
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.faults.migrating"])
_numbers = itertools.count()


@pytest.fixture
async def url(server: EmbeddedServer) -> AsyncIterator[str]:
    """A database with nothing in it."""
    name = f"empty_{next(_numbers)}"
    administration = await asyncpg.connect(server.url.replace("/assay?", "/postgres?"))
    await administration.execute(f"create database {name}")
    yield server.url.replace("/assay?", f"/{name}?")
    await administration.execute(f"drop database {name} with (force)")
    await administration.close()


async def revision_of(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("select to_regclass('alembic_version') is not null"):
            return BASE
        return str(await connection.fetchval("select version_num from alembic_version") or BASE)
    finally:
        await connection.close()


def dump(url: str) -> str:
    """The schema as SQL, without what changes from dump to dump."""
    program = [str(binaries() / "pg_dump"), "--schema-only", "--no-owner", "--exclude-table=alembic_version", url]
    text = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict", "--")))


async def go_to(url: str, revision: str) -> None:
    there = REVISIONS.index(await revision_of(url))
    if REVISIONS.index(revision) > there:
        await migrate.upgrade(url, revision)
    elif REVISIONS.index(revision) < there:
        await migrate.downgrade(url, revision)


class TestEveryRevision:
    async def test_goes_down_to_what_was_before_and_up_to_the_same(self, url: str) -> None:
        up = {}
        for revision in REVISIONS:
            await go_to(url, revision)
            up[revision] = await asyncio.to_thread(dump, url)
        assert len(set(up.values())) == len(REVISIONS)
        for revision in reversed(REVISIONS):
            await go_to(url, revision)
            assert await asyncio.to_thread(dump, url) == up[revision], revision
        await migrate.upgrade(url)
        assert await asyncio.to_thread(dump, url) == up[REVISIONS[-1]]

    async def test_of_the_mapped_tables_is_what_alembic_would_make(self, database_url: str) -> None:
        await asyncio.to_thread(command.check, migrate.configuration(database_url))


class TestTheQueuesSchema:
    def test_is_the_one_of_the_installed_library(self) -> None:
        """A newer library with another schema needs a migration of ours."""
        import procrastinate

        theirs = (Path(procrastinate.__file__).parent / "sql/schema.sql").read_text()
        (ours,) = (migrate.MIGRATIONS / "queue").glob("*.sql")
        assert ours.read_text() == theirs


class TestSeveralProcesses:
    async def test_that_start_at_once_migrate_once(self, url: str) -> None:
        go = SPAWN.Event()
        processes = [start(url, REVISIONS[-1], go) for _ in range(5)]
        go.set()
        await asyncio.to_thread(lambda: [process.join(60) for process in processes])
        assert [process.exitcode for process in processes] == [0] * 5
        assert await revision_of(url) == REVISIONS[-1]


@pytest.mark.fault("F21", "G18")
class TestKilledMigrations:
    @forms(smoke=5, long=200)
    async def test_leave_one_revision_or_the_other(
        self, url: str, draw: random.Random, counts: Counts, size: int
    ) -> None:
        schemas: dict[str, str] = {}
        for revision in REVISIONS:
            await go_to(url, revision)
            schemas[revision] = await asyncio.to_thread(dump, url)
        await go_to(url, BASE)
        longest = await asyncio.to_thread(took, url, REVISIONS[-1])
        ends: Counter[str] = Counter()
        for _ in range(size):
            before = await revision_of(url)
            wanted = draw.choice([revision for revision in REVISIONS if revision != before])
            down = REVISIONS.index(wanted) < REVISIONS.index(before)
            await asyncio.to_thread(killed, url, wanted, draw.uniform(0.0, 1.3 * longest), down)
            await settled(url)
            after = await revision_of(url)
            ends["as before" if after == before else "done" if after == wanted else "between"] += 1
            assert await asyncio.to_thread(dump, url) == schemas[after]
            await go_to(url, wanted)  # the next start finishes what was begun
            assert await asyncio.to_thread(dump, url) == schemas[wanted]
        counts.note("ends", dict(ends))
        counts.none("between two revisions", ends["between"], size)
        counts.judge()


def start(url: str, revision: str, go: Event, *, down: bool = False) -> ForkServerProcess:
    process = SPAWN.Process(target=run, args=(url, revision, go), kwargs={"down": down})
    process.start()
    return process


def took(url: str, revision: str) -> float:
    """Seconds that a process of its own takes to migrate."""
    go, begun = SPAWN.Event(), time.monotonic()
    process = start(url, revision, go)
    go.set()
    process.join()
    return time.monotonic() - begun


def killed(url: str, revision: str, after_s: float, down: bool) -> None:
    go = SPAWN.Event()
    process = start(url, revision, go, down=down)
    go.set()
    time.sleep(after_s)
    process.kill()
    process.join()


async def settled(url: str) -> None:
    """Returns when the server has noticed that its client is gone."""
    connection = await asyncpg.connect(url)
    others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    while await connection.fetchval(others):  # noqa: ASYNC110  the server is asked
        await asyncio.sleep(0.02)
    await connection.close()
