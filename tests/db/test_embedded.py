"""The embedded server: owned by one process, attached to by others, started again when killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from app.db.embedded import EmbeddedServer, memory, tuning
from tests.cli.running import alive
from tests.support.tools import OTHER_POSTGRES

SMALL = {"shared_buffers": "32MB"}


@pytest.fixture
def own(folder: Path):
    embedded = EmbeddedServer(folder / "data", parameters=SMALL, programs=OTHER_POSTGRES)
    embedded.start()
    yield embedded
    embedded.stop()


async def ask(embedded: EmbeddedServer, question: str) -> object:
    connection = await asyncpg.connect(embedded.url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def ask_until_answered(embedded: EmbeddedServer, question: str, seconds: float) -> object:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await ask(embedded, question)
        except (OSError, asyncpg.PostgresError):
            if time.monotonic() > deadline:
                raise


class TestMemory:
    def test_of_a_container_is_what_it_may_use(self, folder: Path) -> None:
        (folder / "memory.max").write_text("1073741824\n")
        assert memory(folder / "memory.max") == 2**30

    @pytest.mark.parametrize("text", [None, "max\n", str(2**62)])
    def test_without_a_limit_is_the_machine_s(self, folder: Path, text: str | None) -> None:
        if text is not None:
            (folder / "memory.max").write_text(text)
        assert memory(folder / "memory.max") == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def test_a_quarter_is_the_cache_and_at_most_4_gb(self) -> None:
        cache = int(tuning()["shared_buffers"].removesuffix("MB"))
        assert cache == max(128, min(4096, memory() // 2**22))


class TestEmbeddedServer:
    async def test_keeps_what_a_crash_must_not_lose(self, own: EmbeddedServer) -> None:
        for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert await ask(own, f"show {name}") == "on"

    async def test_a_second_process_on_the_same_directory_attaches(self, own: EmbeddedServer, folder: Path) -> None:
        second = EmbeddedServer(folder / "data", parameters=SMALL, programs=OTHER_POSTGRES)
        second.start()
        assert own.owned
        assert not second.owned
        assert await ask(second, "select 1") == 1
        second.stop()
        assert await ask(own, "select 1") == 1

    async def test_several_that_start_at_once_on_an_empty_directory_all_find_their_database(self, folder: Path) -> None:
        several = [EmbeddedServer(folder / "data", parameters=SMALL, programs=OTHER_POSTGRES) for _ in range(8)]

        async def answer(one: EmbeddedServer) -> object:
            await asyncio.to_thread(one.start)
            return await ask(one, "select 1")

        try:
            assert await asyncio.gather(*map(answer, several)) == [1] * 8
            assert [each.owned for each in several].count(True) == 1
        finally:
            for each in sorted(several, key=lambda each: each.owned):
                each.stop()

    async def test_is_started_again_after_kill_9(self, own: EmbeddedServer, folder: Path) -> None:
        os.kill(postmaster(folder), signal.SIGKILL)
        assert await ask_until_answered(own, "select 1", seconds=10) == 1

    async def test_starts_again_on_its_data(self, folder: Path) -> None:
        first = EmbeddedServer(folder / "data", parameters=SMALL, programs=OTHER_POSTGRES)
        first.start()
        await ask(first, "create table kept (n int)")
        first.stop()
        again = EmbeddedServer(folder / "data", parameters=SMALL, programs=OTHER_POSTGRES)
        again.start()
        assert await ask(again, "select count(*) from kept") == 0
        again.stop()

    def test_runs_as_nobody_special_when_started_by_root(self, own: EmbeddedServer, folder: Path) -> None:
        assert Path(f"/proc/{postmaster(folder)}").stat().st_uid != 0


HOLDING = """
import sys, time
from pathlib import Path
from app.cli.stopping import in_order
from app.db.embedded import EmbeddedServer
from tests.db.test_embedded import SMALL
from tests.support.tools import OTHER_POSTGRES

server = EmbeddedServer(Path(sys.argv[1]), parameters=SMALL, programs=OTHER_POSTGRES)
with in_order():
    try:
        server.start()
        print("owner" if server.owned else "attached", flush=True)
        time.sleep(600)
    finally:
        server.stop()
"""


# An init that does not look: whoever is orphaned below it stays a zombie until it is told to.
INHERITING = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
owner = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]], stdout=subprocess.PIPE, text=True)
owner.stdout.readline()
owner.kill()
owner.wait()
print("inherited", flush=True)
sys.stdin.readline()
os.waitpid(-1, 0)
"""


@contextmanager
def inheriting(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Who has inherited the server of an owner that was killed."""
    command = [sys.executable, "-c", INHERITING, str(folder / "data"), HOLDING]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "inherited\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def holding(folder: Path, number: int = 1) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes on one data directory, of which the first is the owner."""
    command = [sys.executable, "-c", HOLDING, str(folder / "data")]
    started: list[subprocess.Popen[str]] = []
    try:
        for _ in range(number):
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            assert started[-1].stdout is not None
            assert started[-1].stdout.readline() == ("attached\n" if started[1:] else "owner\n")
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.fixture
def attached(folder: Path) -> Iterator[tuple[EmbeddedServer, subprocess.Popen[str]]]:
    """Us, and the owner, which is another process."""
    with holding(folder) as (owner,):
        server = EmbeddedServer(folder / "data", parameters=SMALL, programs=OTHER_POSTGRES)
        try:
            server.start()
            assert not server.owned
            yield server, owner
        finally:
            server.stop()
    assert not (folder / "data/postgres/postmaster.pid").exists()


def postmaster(folder: Path) -> int:
    return int((folder / "data/postgres/postmaster.pid").read_text().splitlines()[0])


async def owned(server: EmbeddedServer) -> None:
    """Returns when the server is ours, which takes a moment."""
    async with asyncio.timeout(2):
        while not server.owned:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.02)


Attached = tuple[EmbeddedServer, subprocess.Popen[str]]


class TestWhenTheOwnerEnds:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    async def test_who_is_attached_keeps_the_server_from_then_on(
        self, attached: Attached, folder: Path, number: int
    ) -> None:
        server, owner = attached
        connection = await asyncpg.connect(server.url)
        owner.send_signal(number)
        await asyncio.to_thread(owner.wait)
        await owned(server)
        assert await connection.fetchval("select 1") == 1  # nobody was cut off
        os.kill(postmaster(folder), signal.SIGKILL)
        assert await ask_until_answered(server, "select 1", seconds=10) == 1
        await connection.close()

    async def test_with_its_server_that_is_started_again(self, attached: Attached, folder: Path) -> None:
        server, owner = attached
        before = postmaster(folder)
        owner.kill()
        os.kill(before, signal.SIGKILL)
        assert await ask_until_answered(server, "select 1", seconds=10) == 1
        assert server.owned
        assert postmaster(folder) != before

    async def test_another_waits_until_the_dead_server_is_buried(self, folder: Path) -> None:
        """PostgreSQL takes the number of a zombie for a server that lives, and refuses to start beside it."""
        server = EmbeddedServer(folder / "data", parameters=SMALL, programs=OTHER_POSTGRES)
        with inheriting(folder) as init:
            os.kill(before := postmaster(folder), signal.SIGKILL)
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            try:
                await asyncio.sleep(1)
                assert not starting.done()
                init.communicate("bury it\n")
                await asyncio.wait_for(starting, 20)
                assert postmaster(folder) != before
            finally:
                await asyncio.wait([starting])
                server.stop()

    async def test_with_all_that_a_service_manager_ends_sessions_do_not_keep_it(
        self, attached: Attached, folder: Path
    ) -> None:
        """Its SIGTERM goes to the server as well, which would refuse whoever comes until the last session has ended."""
        server, owner = attached
        connection, before = await asyncpg.connect(server.url), postmaster(folder)
        os.kill(before, signal.SIGTERM)
        owner.terminate()
        assert await ask_until_answered(server, "select 1", seconds=10) == 1
        assert postmaster(folder) != before
        connection.terminate()

    async def test_at_the_same_moment_as_all_others_the_server_ends(self, folder: Path) -> None:
        with holding(folder, 3) as processes:
            pid = postmaster(folder)
            for process in processes:
                process.terminate()
            assert [process.wait(30) for process in processes] == [0] * 3
            async with asyncio.timeout(5):
                while alive(pid):  # noqa: ASYNC110  until whoever has inherited it has waited for it
                    await asyncio.sleep(0.02)
            assert not (folder / "data/postgres/postmaster.pid").exists()
