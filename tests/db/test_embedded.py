"""The embedded server: owned by one process, attached to by others, started again when killed."""

import asyncio
import os
import signal
import time
from pathlib import Path

import asyncpg
import pytest

from app.db.embedded import EmbeddedServer, memory, tuning
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
            for each in several:
                each.stop()

    async def test_is_started_again_after_kill_9(self, own: EmbeddedServer, folder: Path) -> None:
        pid = int((folder / "data/postgres/postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
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
        pid = int((folder / "data/postgres/postmaster.pid").read_text().splitlines()[0])
        assert Path(f"/proc/{pid}").stat().st_uid != 0
