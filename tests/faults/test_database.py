"""A database that freezes, cuts its connections or is slow: told honestly and soon, nothing acknowledged is lost."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from app.core.clock import SystemClock
from app.core.errors import Unavailable
from app.core.settings import DatabaseSettings, Settings
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.main import create_app
from tests.faults import ledger
from tests.faults.injecting import Frozen, Terminating, health, inflicted, ready, until
from tests.support.counts import Counts, forms
from tests.support.databases import administer
from tests.support.http import Identities, bearer, client_of, running
from tests.support.proxy import Proxy, proxied
from tests.support.served import ServedProduct

TOLD_S = 3.0  # readiness, and whoever asked meanwhile
WELL_AGAIN_S = 5.0
SLACK = 2.0  # of the bounds above in the short form: it runs on machines that do other things
GUEST = "guest"
ROW = {"prediction_id": "p1", "score": 0.5}


@dataclass
class Heard:
    """What callers heard while something was wrong."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    no_retry_after: int = 0

    async def ask(self, client: httpx.AsyncClient, method: str, path: str, **body: object) -> None:
        begun = time.monotonic()
        try:
            answer = await client.request(method, path, json=body or None)
        except httpx.TransportError:
            self.statuses[0] += 1
            return
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
        self.statuses[answer.status_code] += 1
        self.no_retry_after += answer.status_code == 503 and "retry-after" not in answer.headers

    def count(self, counts: Counts, *, allowed: set[int], within_s: float) -> None:
        counts.note("heard", dict(self.statuses))
        counts.none(f"other answers than {sorted(allowed)}", set(self.statuses) - allowed)
        counts.none("503 without Retry-After", self.no_retry_after)
        counts.at_most("slowest answer", self.slowest_s, within_s, " s")


def questions(model: str) -> list[tuple[str, str, dict[str, object]]]:
    """One of each kind: registry, ingest, labels, rollups, one prediction, a change, users."""
    return [
        ("GET", f"/models/{model}", {}),
        ("GET", "/models", {}),
        ("POST", f"/models/{model}/predictions", {"predictions": [ROW]}),
        ("POST", f"/models/{model}/labels", {"labels": [{"prediction_id": "p1", "actual": "1"}]}),
        ("GET", f"/analytics/trends/{model}", {}),
        ("GET", "/analytics/performance/summary", {}),
        ("GET", f"/models/{model}/predictions/p1", {}),
        ("POST", f"/models/{model}/versions", {"version": "2"}),
        ("GET", "/users", {}),
    ]


@pytest.fixture(scope="module", autouse=True)
async def asked(product: ServedProduct) -> None:
    async with ledger.client_of(product) as client:
        await ledger.set_up(client, "asked")


@pytest.mark.fault("F2")
class TestSafeDefaults:
    async def test_the_embedded_database_survives_a_power_cut(self, product: ServedProduct, counts: Counts) -> None:
        """Killing processes can't show it: the system's cache survives them."""
        connection = await asyncpg.connect(EmbeddedServer(product.data).url)
        wanted = {"fsync": "on", "full_page_writes": "on", "data_checksums": "on", "synchronous_commit": "on"}
        for name, value in wanted.items():
            is_so = await connection.fetchval(f"show {name}") == value
            counts.holds(f"{name} is {value}", is_so=is_so)
        await connection.close()
        counts.judge()


@pytest.mark.fault("F9", "G3")
class TestFrozen:
    @forms(smoke=1, long=50)
    async def test_is_told_within_three_seconds_and_over_within_five(
        self, product: ServedProduct, draw: random.Random, counts: Counts, size: int
    ) -> None:
        told, over, dead, heard = [], [], 0, Heard()
        slack = SLACK if size == 1 else 1.0
        async with ledger.client_of(product) as client:
            for _ in range(size):
                fault = Frozen(product)
                waiting: list[asyncio.Task[None]] = []
                async with inflicted(fault) as times:
                    waiting = [
                        asyncio.create_task(heard.ask(client, method, path, **body))
                        for method, path, body in questions("asked")
                    ]
                    dead += await health(product, "live") != 200
                    await asyncio.gather(*waiting)
                told.append(times.propagated_s)
                over.append(times.recovered_s)
                await asyncio.sleep(draw.uniform(0, 0.5))
        counts.at_most("readiness says so after", max(told), TOLD_S * slack, " s")
        counts.at_most("and that it is over after", max(over), WELL_AGAIN_S * slack, " s")
        counts.none("liveness not 200", dead, size)
        heard.count(counts, allowed={503}, within_s=TOLD_S * slack)
        counts.judge()

    @forms(smoke=1, long=20)
    async def test_who_asks_in_the_moment_it_freezes_waits_no_longer(
        self, product: ServedProduct, draw: random.Random, counts: Counts, size: int
    ) -> None:
        """Their statements are under way, and nobody has noticed yet. Nothing that was acknowledged is lost."""
        heard, slack = Heard(), SLACK if size == 1 else 1.0
        async with ledger.writing(product, "freezing", draw, writers=3) as written, ledger.client_of(product) as client:
            for _ in range(size):
                fault = Frozen(product)
                await asyncio.sleep(draw.uniform(0.2, 0.5))
                await fault.inject()
                try:
                    async with asyncio.TaskGroup() as group:
                        for method, path, body in questions("asked"):
                            group.create_task(heard.ask(client, method, path, **body))
                finally:
                    await fault.clean_up()
                await until(lambda: ready(product))
        heard.count(counts, allowed={200, 201, 404, 503}, within_s=TOLD_S * slack)
        await ledger.count(counts, product, written)
        counts.judge()


@pytest.mark.fault("F10", "F1")
class TestTerminated:
    @forms(smoke=1.5, long=30.0)
    async def test_connections_that_end_all_the_time_cost_503_and_nothing_else(
        self, product: ServedProduct, draw: random.Random, counts: Counts, size: float
    ) -> None:
        fault, heard = Terminating(product), Heard()
        async with ledger.writing(product, "cut", draw, writers=3) as written, ledger.client_of(product) as client:
            async with inflicted(fault):
                ends = time.monotonic() + size
                while time.monotonic() < ends:
                    for method, path, body in questions("asked"):
                        await heard.ask(client, method, path, **body)
            after = Heard()
            for method, path, body in questions("asked") * 3:
                await after.ask(client, method, path, **body)
        counts.note("connections ended", fault.ended)
        counts.none("unknown errors", product.unknown_errors())
        heard.count(counts, allowed={200, 201, 404, 503}, within_s=WELL_AGAIN_S * SLACK)
        counts.none("503 when it is over (a connection that leaked)", after.statuses[503])
        await ledger.count(counts, product, written)
        counts.judge()


@dataclass
class Behind:
    """The application in this process, behind a proxy to its database."""

    client: httpx.AsyncClient
    proxy: Proxy
    database: Database
    name: str


@pytest.fixture(scope="module")
async def guest(server: EmbeddedServer) -> AsyncIterator[None]:
    """A role of whom limits hold, with all rights once it is in."""
    await administer(server, f"create role {GUEST} login in role assay")
    await administer(server, f"alter role {GUEST} set role assay")
    yield
    await administer(server, f"drop role {GUEST}")


@pytest.fixture
async def behind(settings: Settings, database_url: str, guest: None) -> AsyncIterator[Behind]:
    unlimited = settings.model_copy(update={"limits": settings.limits.model_copy(update={"enabled": False})})
    async with proxied(database_url) as proxy:
        database = Database(proxy.url.replace("assay@", f"{GUEST}@"), DatabaseSettings(pool_size=3, hot_pool_size=4))
        await database.open()
        async with running(create_app(unlimited, clock=SystemClock(), database=database)) as app:
            token = await Identities(app).user("admin")
            async with client_of(app, **bearer(token)) as client:
                await ledger.set_up(client, "m1")
                yield Behind(client, proxy, database, urlsplit(database_url).path[1:])
        await database.close()


async def ask_all(client: httpx.AsyncClient, times: int = 1) -> Heard:
    """Every question at once."""
    heard = Heard()
    async with asyncio.TaskGroup() as group:
        for method, path, body in questions("m1") * times:
            group.create_task(heard.ask(client, method, path, **body))
    return heard


async def _hold(held: AsyncExitStack, database: Database, *, hot: bool) -> bool:
    """Whether one more connection could be had; the product's own loops use some now and then."""
    with suppress(Unavailable):
        if hot:
            await held.enter_async_context(database.connection())
        else:
            session = await held.enter_async_context(database.write())
            await session.connection()  # type: ignore[attr-defined]
        return True
    return False


async def well_again(behind: Behind) -> None:
    async def is_ready() -> bool:
        return (await behind.client.get("/system/health/ready")).status_code == 200

    await until(is_ready)


@pytest.mark.fault("F10", "G3")
class TestHalfOpen:
    async def test_connections_that_stay_and_bring_nothing_are_given_up(self, behind: Behind, counts: Counts) -> None:
        behind.proxy.freeze()
        try:
            heard = await ask_all(behind.client)
        finally:
            behind.proxy.thaw()
        await well_again(behind)
        heard.count(counts, allowed={503}, within_s=TOLD_S * SLACK)
        counts.none("503 when it is over", (await ask_all(behind.client)).statuses[503])
        counts.judge()


@pytest.mark.fault("F11")
class TestExhausted:
    async def test_pools_that_are_used_up_answer_503_after_a_second(self, behind: Behind, counts: Counts) -> None:
        async with AsyncExitStack() as held:
            for hot in [True] * 4 + [False] * 3:
                await until(partial(_hold, held, behind.database, hot=hot))
            heard = await ask_all(behind.client)
        heard.count(counts, allowed={503}, within_s=1.2 * SLACK * SLACK)
        counts.none("503 when they are free again", (await ask_all(behind.client)).statuses[503])
        counts.judge()

    async def test_a_server_that_takes_no_more_connections_is_unavailable(
        self, behind: Behind, server: EmbeddedServer, counts: Counts
    ) -> None:
        await administer(server, f"alter database {behind.name} connection limit 0")
        try:
            behind.database.give_up()
            behind.database.heard()
            heard = await ask_all(behind.client)
        finally:
            await administer(server, f"alter database {behind.name} connection limit -1")
        await well_again(behind)
        heard.count(counts, allowed={503}, within_s=1.2 * SLACK * SLACK)
        counts.none("503 when it does again", (await ask_all(behind.client)).statuses[503])
        counts.judge()


@pytest.mark.fault("F12", "G11")
class TestSlow:
    async def test_a_slow_way_makes_answers_late_and_not_wrong(self, behind: Behind, counts: Counts) -> None:
        """A fifth of a second more each round trip."""
        behind.proxy.delay_s = 0.2
        heard = await ask_all(behind.client)
        behind.proxy.delay_s = 0
        heard.count(counts, allowed={200, 201, 404, 503}, within_s=6.0)
        counts.judge()

    @forms(smoke=3, long=20)
    async def test_one_that_is_far_too_slow_sheds_its_load(self, behind: Behind, counts: Counts, size: int) -> None:
        """Five seconds a round trip: nobody waits for all of his, and there is no queue behind the fault."""
        behind.proxy.delay_s = 5.0
        heard = await ask_all(behind.client, size)
        behind.proxy.delay_s = 0
        await well_again(behind)
        heard.count(counts, allowed={503}, within_s=TOLD_S * SLACK)
        counts.none("503 when it is over", (await ask_all(behind.client)).statuses[503])
        counts.judge()
