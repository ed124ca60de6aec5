"""A database that is away when a command begins: servers wait for it and say so, what ends by itself says why."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.db import migrate
from app.db.embedded import EmbeddedServer
from tests.cli.running import Running
from tests.core.test_settings import SAFE
from tests.support.databases import cloned
from tests.support.proxy import Proxy, proxied
from tests.support.served import free_port

PRODUCTION = {
    "ASSAY_ENVIRONMENT": "production",
    "ASSAY_AUTH__SECRET": SAFE["auth"]["secret"],
    "ASSAY_METRICS__TOKEN": SAFE["metrics"]["token"],
}
HEALTH = "/api/v1/system/health"


@pytest.fixture
async def empty_url(server: EmbeddedServer) -> AsyncIterator[str]:
    async with cloned(server, "template0") as url:
        yield url


@pytest.fixture
async def away(empty_url: str) -> AsyncIterator[Proxy]:
    """The way to a database without a schema, which is cut."""
    async with proxied(empty_url) as proxy:
        await proxy.cut()
        yield proxy


async def waiting(command: Running) -> None:
    await asyncio.to_thread(command.wait_for, lambda: f"Assay answers on {command.url}" in command.output())
    async with httpx.AsyncClient(base_url=f"{command.url}{HEALTH}") as client:
        assert (await client.get("/live")).status_code == 200
        assert (await client.get("/ready")).json() == {"status": "starting"}


class TestServers:
    @pytest.mark.parametrize("workers", ["1", "2"])
    async def test_migrate_it_once_it_is_there(self, folder: Path, away: Proxy, workers: str) -> None:
        with Running(folder, "serve", "--workers", workers, ASSAY_DATABASE__URL=away.url) as command:
            await waiting(command)
            place = away.url.rpartition("@")[2].partition("/")[0]
            said = f"the database at {place} can't be used: Connection refused. ASSAY_DATABASE__URL says where it is"
            assert command.output().count(said) == 1
            await away.start()
            await asyncio.to_thread(command.wait_until_ready)
            assert "Traceback" not in command.output()
            assert await asyncio.to_thread(command.end) == 0

    async def test_end_in_order_while_they_wait(self, folder: Path, away: Proxy) -> None:
        with Running(folder, "serve", ASSAY_DATABASE__URL=away.url) as command:
            await waiting(command)
            assert await asyncio.to_thread(command.end) == 0

    async def test_in_production_are_as_patient_and_refuse_one_that_is_not_safe_once_it_is_there(
        self, folder: Path, away: Proxy, empty_url: str
    ) -> None:
        """The tests' own database loses what it acknowledged."""
        await migrate.upgrade(empty_url)
        with Running(folder, "serve", "--no-migrate", ASSAY_DATABASE__URL=away.url, **PRODUCTION) as command:
            await waiting(command)
            assert '"cause":"Connection refused","database":"127.0.0.1:' in command.output()
            assert " (ASSAY_DATABASE__URL)" in command.output()
            assert "fsync" not in command.output()
            await away.start()
            await asyncio.to_thread(command.wait_for, lambda: "fsync is off: a power cut" in command.output())
            await waiting(command)
            assert "Traceback" not in command.output()

    @pytest.mark.parametrize("environment", [{}, PRODUCTION])
    async def test_wait_for_one_that_does_not_let_them_in(
        self, folder: Path, away: Proxy, environment: dict[str, str]
    ) -> None:
        away.refusal = "28P01"
        await away.start()
        url = f"{away.url}?sslmode=disable"  # else the first thing that is refused is TLS
        with Running(folder, "serve", "--no-migrate", ASSAY_DATABASE__URL=url, **environment) as command:
            await waiting(command)
            await asyncio.to_thread(command.wait_for, lambda: "the database refuses the service" in command.output())
            assert "Traceback" not in command.output()


class TestOthers:
    @pytest.mark.parametrize("command", ["migrate", "user list", "api-key list", "audit verify", "check", "run"])
    def test_say_where_it_was_looked_for_and_what_was_heard(self, command: str) -> None:
        port = free_port()
        url = f"postgresql://ada:hunter2@127.0.0.1:{port}/assay"
        environment = {"ASSAY_DATABASE__URL": url, "ASSAY_PORT": "0", "COLUMNS": "1000"}
        done = CliRunner().invoke(cli, command.split(), env=environment, catch_exceptions=False)
        assert done.exit_code == 1
        said = f"error: the database at 127.0.0.1:{port} can't be used: Connection refused. ASSAY_DATABASE__URL says"
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == 1
        assert "hunter2" not in done.stderr
