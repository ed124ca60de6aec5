"""A full disk, under the data and under the log of changes: writes are refused, nothing acknowledged is lost, and when
there is room again the service goes on without a start (F13). Under the data directory alone, where several workers
count: everything is answered."""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from app.core.clock import SystemClock
from app.core.settings import DatabaseSettings, Settings
from app.db import migrate
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.main import create_app
from tests.cli.running import Running
from tests.cli.test_serve import workers
from tests.faults import ledger
from tests.faults.injecting import Fault, inflicted
from tests.support.counts import Counts
from tests.support.disk import FILLER, fill, small_disk
from tests.support.http import Identities, bearer, client_of, running
from tests.support.room import room

SIZE_MB = {"data": 96, "log": 64}
SMALL = {"shared_buffers": "32MB", "min_wal_size": "32MB", "max_wal_size": "48MB", "summarize_wal": "off"}
ROWS = 200


@pytest.fixture(params=["data", "log"])
def small(request: pytest.FixtureRequest) -> Iterator[tuple[str, Path, Path]]:
    """Which of both lies on a small disk, where that is, and the data directory."""
    with room() as folder, small_disk(folder, SIZE_MB[request.param]) as disk:
        yield request.param, disk, (disk if request.param == "data" else folder) / "assay"


@pytest.fixture
def cornered(small: tuple[str, Path, Path]) -> Iterator[EmbeddedServer]:
    """Its own, with everything on; the log of changes lies on the other disk."""
    which, disk, data = small
    made = EmbeddedServer(data, parameters=SMALL)
    made.start()
    made.stop()
    changes, elsewhere = data / "postgres/pg_wal", (disk.parent if which == "data" else disk) / "changes"
    subprocess.run(["cp", "-a", str(changes), str(elsewhere)], check=True)
    shutil.rmtree(changes)
    changes.symlink_to(elsewhere)
    started = EmbeddedServer(data, parameters=SMALL)
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def admin(cornered: EmbeddedServer, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    await migrate.upgrade(cornered.url)
    unlimited = Settings(
        _env_file=None,
        data_dir=tmp_path,
        database={"url": cornered.url},
        auth={"secret": "a-secret-of-the-tests-that-is-long-enough"},
        http={"trusted_hosts": ("*",)},
        limits={"enabled": False},
    )
    database = Database(cornered.url, DatabaseSettings(pool_size=3, hot_pool_size=4))
    await database.open()
    async with running(create_app(unlimited, clock=SystemClock(), database=database)) as app:
        token = await Identities(app).user("admin")
        async with client_of(app, **bearer(token)) as client:
            await ledger.set_up(client, "m1")
            yield client
    await database.close()


class Full(Fault):
    """A file takes all the room there is."""

    def __init__(self, disk: Path, writer: "Writer") -> None:
        self._disk = disk
        self._writer = writer

    async def set_up(self) -> None:
        assert await self._writer.write() == 201

    async def inject(self) -> None:
        fill(self._disk)

    async def propagated(self) -> bool:
        return await self._writer.write() != 201

    async def recover(self) -> None:
        (self._disk / FILLER).unlink(missing_ok=True)

    async def recovered(self) -> bool:
        return await self._writer.write() == 201

    async def clean_up(self) -> None:
        await self.recover()


class Writer:
    """Batches that are never sent twice; `acknowledged` counts rows."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._next = 0
        self.acknowledged = 0
        self.statuses: Counter[int] = Counter()

    async def write(self) -> int:
        first, self._next = self._next, self._next + ROWS
        rows = [
            {"prediction_id": f"p{number}", "score": 0.5, "features": {"text": os.urandom(200).hex()}}
            for number in range(first, first + ROWS)
        ]
        answer = await self._client.post("/models/m1/predictions", json={"predictions": rows})
        self.statuses[answer.status_code] += 1
        self.acknowledged += answer.json()["accepted"] if answer.status_code == 201 else 0
        return answer.status_code


@pytest.mark.fault("F13")
class TestFullDisk:
    async def test_refuses_writes_loses_nothing_and_goes_on(
        self, small: tuple[str, Path, Path], cornered: EmbeddedServer, admin: httpx.AsyncClient, counts: Counts
    ) -> None:
        which, disk, _ = small
        writer, reads = Writer(admin), Counter[int]()
        async with inflicted(Full(disk, writer)) as times:
            for _ in range(5):
                reads[(await admin.get("/models/m1")).status_code] += 1
                await writer.write()
        database = Database(cornered.url, DatabaseSettings(pool_size=1, hot_pool_size=2))
        await database.open()
        async with database.connection() as connection:
            present = await connection.fetchval("select count(*) from prediction where place >= 0")
            in_blocks = await connection.fetchval("select sum(n) from block")
        await database.close()
        counts.note(f"{which}: writes", dict(writer.statuses))
        counts.none("other answers to writes than 201, 503, 507", set(writer.statuses) - {201, 503, 507})
        counts.none("reads that failed", set(reads) - ({200} if which == "data" else {200, 503}))
        counts.at_least("of them refused", writer.statuses[503] + writer.statuses[507], 5)
        counts.at_least("rows present", present, writer.acknowledged)
        counts.none("rows out of step with their blocks", present - in_blocks)
        counts.note("went on after", f"{times.recovered_s:.2f} s")
        counts.judge()


@pytest.mark.fault("F13")
class TestFullDataDirectory:
    def test_several_workers_answer_everything(self, folder: Path, database_url: str, counts: Counts) -> None:
        with small_disk(folder, 4) as disk:
            settings = {
                "ASSAY_DATA_DIR": str(disk / "assay"),
                "ASSAY_DATABASE__URL": database_url,
                "ASSAY_LIMITS__ENABLED": "false",
            }
            with Running(folder, "serve", "--no-migrate", "--workers", "2", **settings) as command:
                command.wait_until_ready()
                command.wait_for(lambda: f"Assay answers on {command.url}" in command.output())
                operations = every_operation(command.url)
                fill(disk)
                before = workers(command.process.pid)
                answers = Counter(answered(command.url, *operation) for operation in operations * 2)
                answers[answered(command.url, "GET", "/metrics")] += 1
                after = workers(command.process.pid)
                (disk / FILLER).unlink()
                assert command.end() == 0
        counts.note("answers", dict(answers))
        counts.none("requests without an answer", answers[None], sum(answers.values()))
        counts.none("errors", answers[500])
        counts.none("workers that ended", before - after, 2)
        counts.judge()


def every_operation(url: str) -> list[tuple[str, str]]:
    paths = httpx.get(f"{url}/api/v1/openapi.json").json()["paths"]
    return [(method, re.sub(r"{\w+}", "1", path)) for path, methods in paths.items() for method in methods]


def answered(url: str, method: str, path: str) -> int | None:
    """The status, on a connection of its own, so that both workers are asked; or none."""
    try:
        return httpx.request(method, f"{url}{path}", timeout=30).status_code
    except httpx.HTTPError:
        return None
