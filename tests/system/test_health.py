"""Health, liveness, readiness: the truth, soon, and cheaply."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.core.clock import FrozenClock
from app.core.edge import Gate
from app.core.health import Finding, HealthProbe, Status
from app.core.settings import Settings
from app.db import migrate
from app.db.engine import Database
from app.main import create_app
from app.system.health import Health
from tests.support.http import Identities, bearer, client_of, running
from tests.support.proxy import Proxy, proxied

HEALTH, LIVE, READY = "/system/health", "/system/health/live", "/system/health/ready"
PLAIN = "sslmode=disable"  # else the first thing that is refused is TLS


class TestReport:
    async def test_shows_every_component(self, client: httpx.AsyncClient) -> None:
        answer = await client.get(HEALTH)
        body = answer.json()
        assert (answer.status_code, body["status"]) == (200, "healthy")
        assert {"database", "migrations", "folding"} <= set(body["components"])
        assert set(body["components"]["database"]) == {"status", "latency_ms"}
        assert answer.headers["cache-control"] == "no-store"

    async def test_details_are_for_those_we_know(self, client: httpx.AsyncClient, identities: Identities) -> None:
        token = await identities.user("viewer")
        known = await client.get(HEALTH, headers=bearer(token))
        assert known.json()["components"]["migrations"]["detail"].startswith("at ")
        assert (await client.get(HEALTH, headers=bearer("garbage"))).status_code == 401
        of_a_proxy = await client.get(HEALTH, headers={"Authorization": "Basic YTpi"})
        assert (of_a_proxy.status_code, of_a_proxy.json()) == (200, (await client.get(HEALTH)).json())

    async def test_live_and_ready(self, client: httpx.AsyncClient) -> None:
        assert (await client.get(LIVE)).json() == {"status": "alive"}
        assert (await client.get(READY)).json() == {"status": "ready"}


class TestStatus:
    @pytest.mark.parametrize(
        ("critical", "other", "status", "code"),
        [
            (Status.HEALTHY, Status.HEALTHY, "healthy", 200),
            (Status.HEALTHY, Status.UNHEALTHY, "degraded", 200),
            (Status.DEGRADED, Status.HEALTHY, "degraded", 200),
            (Status.UNHEALTHY, Status.HEALTHY, "unhealthy", 503),
        ],
    )
    async def test_is_the_worst_that_matters(self, critical: Status, other: Status, status: str, code: int) -> None:
        health = Health(Gate())
        await health.ask(HealthProbe("a", saying(critical), critical=True))
        await health.ask(HealthProbe("b", saying(other)))
        report = health.report(details=False)
        assert (report.status, health.status()) == (code, status)

    async def test_a_probe_that_hangs_or_fails_is_unhealthy(self) -> None:
        async def hangs() -> Finding:
            await asyncio.sleep(60)
            return Finding(Status.HEALTHY)

        async def fails() -> Finding:
            raise RuntimeError("password=hunter2")

        health = Health(Gate())
        begun = time.monotonic()
        slow = await health.ask(HealthProbe("slow", hangs, timeout_s=0.05))
        assert time.monotonic() - begun < 0.5
        broken = await health.ask(HealthProbe("broken", fails))
        assert (slow.status, broken.status) == (Status.UNHEALTHY, Status.UNHEALTHY)
        assert broken.detail == "RuntimeError"

    async def test_nothing_heard_is_unhealthy(self) -> None:
        assert Health(Gate()).status() is Status.UNHEALTHY


class TestFaults:
    """Measured from the fault, and from its repair, to the answer that says so."""

    @pytest.fixture
    async def proxy(self, database_url: str) -> AsyncIterator[Proxy]:
        async with proxied(database_url) as made:
            yield made

    @pytest.mark.parametrize("fault", ["frozen", "cut"])
    async def test_readiness_tells_within_three_seconds_and_recovers_within_five(
        self, settings: Settings, clock: FrozenClock, proxy: Proxy, fault: str
    ) -> None:
        async with running(create_app(at(settings, proxy.url), clock=clock)) as app, client_of(app) as client:
            assert (await client.get(READY)).status_code == 200
            caller = bearer(await Identities(app).key("models:read"))
            alive = asyncio.create_task(_watch_liveness(client))
            if fault == "frozen":
                proxy.freeze()
            else:
                await proxy.cut()
            assert await _until(client, READY, 503) < 3
            assert (await client.get(HEALTH)).json()["components"]["database"]["status"] == "unhealthy"
            assert await _as_public(client, caller)
            if fault == "frozen":
                proxy.thaw()
            else:
                await proxy.start()
            assert await _until(client, READY, 200) < 5
            alive.cancel()
            assert not alive.done() or alive.exception() is None

    async def test_starts_without_a_database_and_is_ready_when_it_comes(
        self, settings: Settings, clock: FrozenClock, proxy: Proxy
    ) -> None:
        await proxy.cut()
        async with running(create_app(at(settings, proxy.url), clock=clock)) as app, client_of(app) as client:
            assert (await client.get(LIVE)).status_code == 200
            assert (await client.get(READY)).json() == {"status": "starting"}
            assert await _as_public(client, bearer(f"aqt_abcdefghijk2_{1:043}"))
            refused = await client.get("/auth/me")
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
            await proxy.start()
            assert await _until(client, READY, 200) < 5
            assert (await client.get("/auth/me")).status_code == 401

    @pytest.mark.parametrize("sqlstate", ["57P03", "53300", "08006", "3D000"])
    async def test_waits_for_one_that_refuses_whoever_comes(
        self, settings: Settings, clock: FrozenClock, proxy: Proxy, sqlstate: str
    ) -> None:
        """As it does while it recovers, while all its connections are in use, or before somebody made it."""
        await proxy.cut()
        async with (
            running(create_app(at(settings, f"{proxy.url}?{PLAIN}"), clock=clock)) as app,
            client_of(app) as client,
        ):
            proxy.refusal = sqlstate
            await proxy.start()
            await asyncio.sleep(1.5)
            health = (await client.get(HEALTH)).json()
            assert (health["status"], health["components"]["start"]["status"]) == ("unhealthy", "unhealthy")
            proxy.refusal = None
            assert await _until(client, READY, 200) < 5
            assert (await client.get(HEALTH)).json()["status"] == "healthy"

    @pytest.mark.parametrize("sqlstate", ["57P03", "53300", "28P01", "28000", "3D000"])
    async def test_also_where_it_does_so_from_the_first(
        self, settings: Settings, clock: FrozenClock, proxy: Proxy, sqlstate: str
    ) -> None:
        proxy.refusal = sqlstate
        async with (
            running(create_app(at(settings, f"{proxy.url}?{PLAIN}"), clock=clock)) as app,
            client_of(app) as client,
        ):
            assert (await client.get(READY)).json() == {"status": "starting"}
            proxy.refusal = None
            assert await _until(client, READY, 200) < 5

    async def test_tries_again_whatever_failed_and_opens_no_more_connections_each_time(
        self, settings: Settings, clock: FrozenClock, proxy: Proxy, database_url: str
    ) -> None:
        await proxy.cut()
        straight = await asyncpg.connect(database_url)
        name = await straight.fetchval("select current_database()")
        async with running(create_app(at(settings, proxy.url), clock=clock)) as app, client_of(app) as client:
            await straight.execute(f'alter database "{name}" set default_transaction_read_only = on')
            await proxy.start()
            await asyncio.sleep(3)  # six times
            asked = "select count(*) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()"
            assert await straight.fetchval(asked, name) <= 4
            assert (await client.get(HEALTH)).json()["status"] == "unhealthy"
            await straight.execute(f'alter database "{name}" reset default_transaction_read_only')
            await proxy.cut()  # who is connected would not hear of it
            await proxy.start()
            assert await _until(client, READY, 200) < 5
        await straight.close()

    async def test_waits_for_the_migrations(self, settings: Settings, clock: FrozenClock, database: Database) -> None:
        async with database.connection() as connection:
            await connection.execute("update alembic_version set version_num = '0001_auth'")
            app = create_app(settings, clock=clock, database=database)
            async with running(app), client_of(app) as client:
                assert (await client.get(READY)).json() == {"status": "starting"}
                assert (await client.get(HEALTH)).json()["components"]["migrations"]["status"] == "unhealthy"
                await connection.execute("update alembic_version set version_num = $1", migrate.newest())
                assert await _until(client, READY, 200) < 5

    async def test_code_older_than_the_schema_goes_on(
        self, settings: Settings, clock: FrozenClock, database: Database
    ) -> None:
        async with database.connection() as connection:
            await connection.execute("update alembic_version set version_num = '9999_newer'")
        async with running(create_app(settings, clock=clock, database=database)) as app, client_of(app) as client:
            assert (await client.get(READY)).status_code == 200
            assert (await client.get(HEALTH)).json()["status"] == "degraded"


class TestDrain:
    async def test_readiness_says_so_while_requests_go_on(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        app.state.gate.drain()
        answer = await client.get(READY)
        assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
        assert (await client.get("/auth/me")).status_code == 401
        assert (await client.get(LIVE)).status_code == 200


def saying(status: Status) -> Callable[[], Awaitable[Finding]]:
    async def check() -> Finding:
        return Finding(status)

    return check


def at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database": settings.database.model_copy(update={"url": SecretStr(url)})})


async def _until(client: httpx.AsyncClient, path: str, status: int) -> float:
    begun = time.monotonic()
    while (await client.get(path)).status_code != status:
        assert time.monotonic() - begun < 15
        await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def _as_public(client: httpx.AsyncClient, caller: dict[str, str]) -> bool:
    """Whether who can't be asked about is soon told what everybody is."""
    begun = time.monotonic()
    told = await client.get(HEALTH, headers=caller)
    return told.status_code == 503 and "detail" not in told.text and time.monotonic() - begun < 3


async def _watch_liveness(client: httpx.AsyncClient) -> None:
    while True:
        assert (await client.get(LIVE)).status_code == 200
        await asyncio.sleep(0.05)
