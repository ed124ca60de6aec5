"""`assay worker`, and the worker beside a server."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from app.core.settings import Settings
from app.db.engine import Database
from app.tracking.tasks import UPKEEP
from tests.cli.running import EMAIL, PASSWORD, Running, alive
from tests.support.jobs import ended, enqueue

ADMIN = {"ASSAY_ADMIN_EMAIL": EMAIL, "ASSAY_ADMIN_PASSWORD": PASSWORD, "ASSAY_LIMITS__ENABLED": "false"}


def token_of(command: Running) -> str:
    form = {"username": EMAIL, "password": PASSWORD}
    return str(httpx.post(f"{command.url}/api/v1/auth/token", data=form, timeout=30).json()["access_token"])


def jobs_health(command: Running, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    components = httpx.get(f"{command.url}/api/v1/system/health", headers=headers, timeout=30).json()["components"]
    return str(components["jobs"]["detail"])


def workers_of(parent: int) -> list[int]:
    """Processes of `parent` that are workers."""
    lists = [path.read_text().split() for path in Path(f"/proc/{parent}/task").glob("*/children")]
    children = [int(pid) for pids in lists for pid in pids]
    return [pid for pid in children if b"\0worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


class TestBesideAServer:
    def test_takes_jobs_comes_back_when_it_dies_and_ends_with_it(self, folder: Path) -> None:
        with Running(folder, "run", "--no-demo", **ADMIN) as command:
            command.wait_until_ready()
            command.wait_for(lambda: workers_of(command.process.pid))
            (first,) = workers_of(command.process.pid)
            os.kill(first, signal.SIGKILL)
            command.wait_for(lambda: set(workers_of(command.process.pid)) - {first})
            (second,) = workers_of(command.process.pid)
            token = token_of(command)
            command.wait_for(lambda: jobs_health(command, token).startswith("1 workers"))
            assert command.end() == 0
            assert not alive(second)

    async def test_ends_when_the_server_was_killed(self, folder: Path, database_url: str) -> None:
        settings = {"ASSAY_DATABASE__URL": database_url, "ASSAY_JOBS__WORKER": "true"}
        with Running(folder, "serve", "--no-migrate", **settings) as command:
            await asyncio.to_thread(command.wait_for, lambda: workers_of(command.process.pid))
            (worker,) = workers_of(command.process.pid)
            await asyncio.sleep(0.5)
            command.process.kill()
            command.process.wait()
            async with asyncio.timeout(30):
                while alive(worker):  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.05)


class TestAlone:
    async def test_does_jobs_and_ends_in_order(self, folder: Path, database: Database) -> None:
        with Running(folder, "worker", "--concurrency", "1", ASSAY_DATABASE__URL=database.url) as worker:
            await asyncio.to_thread(worker.wait_for, lambda: "the worker takes jobs" in worker.output())
            job = await ended(database, await enqueue(database, UPKEEP))
            assert job.status == "succeeded"
            assert await asyncio.to_thread(worker.end) == 0
        async with database.connection() as connection:
            assert await connection.fetchval("select count(*) from procrastinate_workers") == 0


class TestSettings:
    @pytest.mark.parametrize("jobs", [{"stalled_s": 15}, {"concurrency": 0}, {"heartbeat_s": 20}])
    def test_that_would_lose_live_workers_or_do_nothing_are_refused(self, jobs: dict[str, int]) -> None:
        with pytest.raises(ValidationError, match=next(iter(jobs)) + "|STALLED_S"):
            Settings(_env_file=None, jobs=jobs)
