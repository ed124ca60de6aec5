"""Every command reaches a database that takes TLS only, by the URL that whoever runs such databases hands out."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.core import dsn
from tests.cli.running import Running, completed
from tests.support.databases import named
from tests.support.room import room
from tests.support.tls import PASSWORD, QUOTED, Guarded, guarded
from tests.support.tools import need


@pytest.fixture(scope="module")
def database_server() -> Iterator[Guarded]:
    """Debian's: the one that comes along speaks no TLS."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    programs = need("postgres", package="postgresql", where=os.pathsep.join(map(str, installed)) or "/nowhere").parent
    with room() as folder, guarded(folder, programs) as made:
        yield made


@pytest.fixture
async def inside(database_server: Guarded) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn.read(named(database_server.socket, "postgres")).url)
    yield connection
    await connection.close()


async def encrypted(inside: asyncpg.Connection, name: str) -> dict[bool, int]:
    """How many connections of that application are, and how many are not."""
    asked = (
        "select ssl, count(*) from pg_stat_ssl join pg_stat_activity using (pid) where application_name = $1 group by 1"
    )
    return dict(await inside.fetch(asked, name))


class TestCommands:
    async def test_all_connect_over_tls(
        self, database_server: Guarded, inside: asyncpg.Connection, folder: Path
    ) -> None:
        await inside.execute("create database everything")

        def here(application: str, mode: str) -> dict[str, str]:
            said = {"sslmode": mode, "sslrootcert": database_server.root, "connect_timeout": 3}
            said |= {"target_session_attrs": "read-write", "application_name": application}
            return {"ASSAY_DATABASE__URL": database_server.url("everything", **said)}

        for arguments in (("migrate",), ("user", "list")):
            done = await asyncio.to_thread(completed, folder, *arguments, **here("once", "verify-full"))
            assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        with (
            Running(folder, "serve", **here("served", "verify-full")) as server,
            Running(folder, "worker", **here("worked", "require")) as worker,
        ):
            await asyncio.to_thread(server.wait_until_ready)
            await asyncio.to_thread(worker.wait_for, lambda: "the worker takes jobs" in worker.output())
            for application, at_least in (("served", 3), ("worked", 3)):  # asyncpg's pool, SQLAlchemy's, or psycopg's
                async with asyncio.timeout(20):
                    while sum((found := await encrypted(inside, application)).values()) < at_least:  # noqa: ASYNC110  the database is asked
                        await asyncio.sleep(0.05)
                assert list(found) == [True]
        with Running(folder, "serve", "--no-migrate", "--workers", "2", **here("several", "verify-ca")) as server:
            await asyncio.to_thread(server.wait_until_ready)
            assert list(await encrypted(inside, "several")) == [True]

    @pytest.mark.parametrize("arguments", [("migrate",), ("user", "list")])
    async def test_none_speaks_to_a_stranger(
        self, database_server: Guarded, folder: Path, arguments: tuple[str, ...]
    ) -> None:
        said = {"sslmode": "verify-full", "sslrootcert": database_server.stranger}
        url = database_server.url("postgres", **said)
        done = await asyncio.to_thread(completed, folder, *arguments, ASSAY_DATABASE__URL=url)
        assert done.returncode == 1
        assert f"the database at 127.0.0.1:{database_server.port} can't be used" in done.stderr
        assert "certificate verify failed" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert PASSWORD not in done.stderr
        assert QUOTED not in done.stderr

    @pytest.mark.parametrize("arguments", [("migrate",), ("serve",), ("user", "list")])
    async def test_a_wrong_password_is_a_sentence(
        self, database_server: Guarded, folder: Path, arguments: tuple[str, ...]
    ) -> None:
        url = database_server.url("postgres", sslmode="require").replace(QUOTED, "hunter2")
        done = await asyncio.to_thread(completed, folder, *arguments, ASSAY_DATABASE__URL=url, ASSAY_PORT="0")
        assert done.returncode == 1
        assert f'127.0.0.1:{database_server.port} can\'t be used: password authentication failed for user "assay"' in (
            done.stderr
        )
        assert "ASSAY_DATABASE__URL" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "hunter2" not in done.stderr

    @pytest.mark.parametrize("command", ["migrate", "serve", "worker", "run"])
    def test_what_a_driver_can_not_do_is_refused_in_a_line(self, command: str) -> None:
        url = f"postgresql://assay:{QUOTED}@127.0.0.1/x?sslmode=require&channel_binding=require"
        environment = {"ASSAY_DATABASE__URL": url, "COLUMNS": "1000"}
        done = CliRunner().invoke(cli, [command], env=environment, catch_exceptions=False)
        assert done.exit_code == 2
        assert done.stderr.startswith("error: ASSAY_DATABASE__URL: channel_binding can't be taken")
        assert len(done.stderr.splitlines()) == 1
        assert QUOTED not in done.stderr
