"""Production does not start on a database that may lose what it acknowledged, or that lets anybody in."""

import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.core.settings import Settings
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.safety import UnsafeDatabase, dangers, demand_safe, look
from app.main import create_app
from tests.core.test_settings import SAFE
from tests.support.http import running
from tests.support.room import room
from tests.support.served import free_port

SMALL = {"shared_buffers": "32MB"}


def production(url: str, **changes: Any) -> Settings:
    database = {"url": url, **changes.pop("database", {})}
    return Settings(_env_file=None, **{**SAFE, **changes, "database": database})


async def refusal(settings: Settings) -> str:
    assert settings.database.url is not None
    database = Database(settings.database.url.get_secret_value(), settings.database)
    try:
        await demand_safe(database, settings)
    except UnsafeDatabase as problem:
        return problem.detail
    finally:
        await database.close()
    return ""


@pytest.fixture(scope="module")
def listening() -> Iterator[str]:
    """The URL of a server as it comes, but for TCP."""
    port = str(free_port())
    with room() as folder:
        made = EmbeddedServer(folder, parameters={**SMALL, "listen_addresses": "127.0.0.1", "port": port})
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PGPORT", port)  # where the server's own programs look for it
            made.start()
        yield f"{made.url}&port={port}"
        made.stop()


@pytest.fixture
async def changed(listening: str) -> AsyncIterator[Database]:
    """To change its settings; they are as they came afterwards."""
    database = Database(listening, Settings(_env_file=None).database)
    await database.open()
    yield database
    async with database.connection() as connection:
        await connection.execute("alter database assay reset all")
    await database.close()


class TestDatabase:
    async def test_with_everything_off_is_refused_and_each_is_named(self, database_url: str) -> None:
        """The one of the tests: nothing of it must survive."""
        said = await refusal(production(database_url))
        assert [name for name in ("fsync", "full_page_writes", "synchronous_commit") if f"{name} = on" in said] == [
            "fsync",
            "full_page_writes",
            "synchronous_commit",
        ]

    async def test_that_trusts_whoever_comes_over_tcp_is_refused(self, listening: str) -> None:
        said = await refusal(production(listening))
        assert said.startswith("pg_hba.conf trusts whoever comes over TCP (line ")
        assert ";" not in said  # nothing else is wrong with it

    async def test_that_is_accepted_as_a_risk_is_not(self, listening: str, changed: Database) -> None:
        accepted = production(listening, database={"accepted_risks": ("trust",)})
        assert await refusal(accepted) == ""
        async with changed.connection() as connection:
            await connection.execute("alter database assay set synchronous_commit = off")
        assert (await refusal(accepted)).startswith("synchronous_commit is off")

    async def test_without_checksums_is_refused_where_it_is_ours(self, listening: str, tmp_path: Path) -> None:
        settings = production(listening)
        database = Database(listening, settings.database)
        shown = await look(database)
        await database.close()
        off = dataclasses.replace(shown, settings={**shown.settings, "data_checksums": "off"})
        ours = Path(shown.settings["data_directory"]).parent
        for folder, named in ((ours, True), (tmp_path, False)):
            found = dict(dangers(off, settings.model_copy(update={"data_dir": folder})))
            assert ("data_checksums" in found) == named

    async def test_is_asked_in_production_alone(self, database_url: str) -> None:
        assert await refusal(Settings(_env_file=None, database={"url": database_url})) == ""


class TestStart:
    async def test_a_process_does_not_start(self, database_url: str, database: Database) -> None:
        app = create_app(production(database_url), database=database)
        with pytest.raises(UnsafeDatabase, match="fsync is off"):
            async with running(app):
                raise AssertionError("it started")

    @pytest.mark.parametrize("command", ["serve", "run", "worker"])
    def test_the_command_says_why_in_a_line(self, database_url: str, command: str) -> None:
        environment = {
            "ASSAY_ENVIRONMENT": "production",
            "ASSAY_AUTH__SECRET": SAFE["auth"]["secret"],
            "ASSAY_METRICS__TOKEN": SAFE["metrics"]["token"],
            "ASSAY_DATABASE__URL": database_url,
            "ASSAY_PORT": "0",
            "COLUMNS": "1000",
        }
        done = CliRunner().invoke(cli, [command], env=environment, catch_exceptions=False)
        assert done.exit_code == 1
        assert "fsync is off: a power cut can destroy what was acknowledged" in done.stderr

    def test_a_first_password_that_is_tried_first_is_refused(self, database_url: str) -> None:
        environment = {
            "ASSAY_ADMIN_EMAIL": "ada@example.com",
            "ASSAY_ADMIN_PASSWORD": "password1234",
            "ASSAY_DATABASE__URL": database_url,
            "ASSAY_PORT": "0",
        }
        done = CliRunner().invoke(cli, ["serve"], env=environment, catch_exceptions=False)
        assert done.exit_code == 1
        assert "tried first" in done.stderr
        assert "password1234" not in done.stderr
