"""Real PostgreSQL for every test: one embedded server a session, one fresh database a test (cloned in about 20 ms)."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.core.clock import FrozenClock, from_datetime
from app.core.settings import DatabaseSettings, Settings
from app.db import migrate
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.main import create_app
from tests.support.counts import (
    counts,
    draw,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_report_teststatus,
    pytest_runtest_makereport,
    pytest_runtest_protocol,
    pytest_terminal_summary,
    soak_s,
)
from tests.support.databases import administer, cloned, named
from tests.support.http import Identities, bearer, client_of, running
from tests.support.room import room
from tests.support.times import NOON
from tests.support.tools import OTHER_POSTGRES

__all__ = [
    "counts",
    "draw",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_report_teststatus",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_terminal_summary",
    "soak_s",
]
os.environ.pop("COLUMNS", None)  # xdist tells its workers how wide the terminal is; tables of commands would fold at it
# Nothing here must survive a crash; the fault tests start servers of their own, with everything on.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "128MB",
    "autovacuum": "off",
}


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="assay-test-", dir=memory if memory.is_dir() else None) as folder:
        embedded = EmbeddedServer(Path(folder), parameters=FAST, programs=OTHER_POSTGRES)
        embedded.start()
        yield embedded
        embedded.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where an embedded database of the test's own may live."""
    with room() as path:
        yield path


@pytest.fixture(scope="session")
async def template(server: EmbeddedServer) -> str:
    """The name of a migrated database that nobody is connected to."""
    await administer(server, "create database template_assay")
    await migrate.upgrade(named(server.url, "template_assay"))
    return "template_assay"


@pytest.fixture
async def database_url(server: EmbeddedServer, template: str) -> AsyncIterator[str]:
    async with cloned(server, template) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, DatabaseSettings(pool_size=4, hot_pool_size=6))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(from_datetime(NOON))


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        database={"url": database_url},
        auth={"secret": "a-secret-of-the-tests-that-is-long-enough"},
        admin_email="admin@example.com",
        admin_password="a-long-first-password",
        http={"trusted_hosts": ("*",)},
    )


@pytest.fixture
async def app(settings: Settings, clock: FrozenClock, database: Database) -> AsyncIterator[FastAPI]:
    """The running application; its time is `clock`, which stands still, and no limits hold."""
    unlimited = settings.model_copy(update={"limits": settings.limits.model_copy(update={"enabled": False})})
    async with running(create_app(unlimited, clock=clock, database=database)) as started:
        yield started


@pytest.fixture
def identities(app: FastAPI) -> Identities:
    return Identities(app)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A caller who has not said who it is."""
    async with client_of(app) as anonymous:
        yield anonymous


@pytest.fixture
async def admin(app: FastAPI, identities: Identities) -> AsyncIterator[httpx.AsyncClient]:
    """A caller who may do everything."""
    token = await identities.user("admin")
    async with client_of(app, **bearer(token)) as authenticated:
        yield authenticated
