"""Each delta is folded exactly once, whoever folds, whatever is under way."""

import asyncio

import pytest

from app.core.clock import SECOND, FrozenClock
from app.core.errors import Unavailable
from app.core.health import Status
from app.core.settings import DatabaseSettings, Settings
from app.db.engine import Database
from app.main import create_app
from app.tracking.repository import arrivals, folding
from app.tracking.rollups.fold import Folder
from app.tracking.rollups.horizon import Horizon
from app.tracking.rollups.lag import LagWatch
from app.tracking.rollups.reading import Reading
from app.tracking.rollups.rebuild import Rebuild
from tests.support.http import client_of, running
from tests.support.streams import Stream, make_stream


@pytest.fixture
async def stream(database: Database, clock: FrozenClock) -> Stream:
    return await make_stream(database, clock, "binary")


async def send(stream: Stream, times: int) -> None:
    for _ in range(times):
        stream.clock.advance(seconds=40)
        await stream.writer.predict(stream.predictions(stream.clock.now_us()))


async def folded_rows(database: Database) -> int:
    async with database.connection() as connection:
        return int(
            await connection.fetchval("select coalesce(sum(n), 0) from rollup where grain = 0 and segment_no = 0")
        )


class TestFolding:
    async def test_by_several_processes_at_once_counts_once(self, stream: Stream, database: Database) -> None:
        others = [Folder(database, stream.clock) for _ in range(3)]
        for _ in range(5):
            await send(stream, 3)
            await asyncio.gather(*(folder.fold_all() for folder in [stream.folder, *others]))
        await stream.folder.fold_all()
        assert await folded_rows(database) == len(stream.writer.rows)
        assert await Rebuild(database, stream.clock).check(stream.facts) == []

    @pytest.mark.parametrize(
        ("limit", "enough"), [("DELTAS_AT_ONCE", 5), ("BYTES_AT_ONCE", 3000), ("BYTES_AT_ONCE", 1)]
    )
    async def test_works_through_a_long_backlog_in_rounds(
        self, stream: Stream, database: Database, monkeypatch: pytest.MonkeyPatch, limit: str, enough: int
    ) -> None:
        await send(stream, 23)
        monkeypatch.setattr(folding, limit, enough)
        assert await stream.folder.fold_all() == 23
        assert await folded_rows(database) == len(stream.writer.rows)

    async def test_waits_for_transactions_that_began_earlier(self, stream: Stream, database: Database) -> None:
        async with database.transaction() as early:
            await early.fetchval("select pg_current_xact_id()")
            await send(stream, 2)
            assert await stream.folder.fold_all() == 0
            reading = Reading(database, stream.clock)
            series = await reading.series(stream.facts, grain_s=86_400)
            assert series.tally.n.sum() == len(stream.writer.rows)  # what is not folded is answered all the same
        assert await stream.folder.fold_all() == 2

    async def test_goes_on_with_other_models_when_one_fails(self, stream: Stream, database: Database) -> None:
        await send(stream, 1)
        async with database.transaction() as connection:
            await connection.execute("insert into delta (known_at, model_no, kind, body) values (now(), 999, 0, 'x')")
        assert await stream.folder.fold_all() == 1
        await send(stream, 1)
        assert await stream.folder.fold_all() == 1

    async def test_waits_its_turn_while_requests_use_every_connection(self, stream: Stream, database: Database) -> None:
        await send(stream, 1)
        crowded = Database(database.url, DatabaseSettings(hot_pool_size=2, pool_timeout_s=0.05))
        await crowded.open()
        async with crowded.connection(), crowded.connection():
            under_way = asyncio.create_task(Folder(crowded, stream.clock).fold_all())
            with pytest.raises(Unavailable):
                await crowded.connection().__aenter__()
            assert not under_way.done()
        assert await under_way == 1
        await crowded.close()

    async def test_tells_who_listens(self, stream: Stream, database: Database) -> None:
        heard: list[str] = []
        listener = await database.listen(folding.CHANNEL, heard.append)
        await send(stream, 1)
        await stream.folder.fold_all()
        await listener.fetchval("select 1")
        await listener.close()
        assert heard == [str(stream.facts.id)]

    async def test_runs_until_told_to_stop_and_soon_after_a_commit(self, stream: Stream, database: Database) -> None:
        folder, stop = Folder(database, stream.clock, interval_s=0.3), asyncio.Event()
        told = asyncio.Event()
        listener = await database.listen(folding.CHANNEL, lambda _: told.set())
        running = asyncio.create_task(folder.run(stop))
        await asyncio.sleep(0.05)
        await send(stream, 1)
        folder.wake()
        async with asyncio.timeout(2):
            await told.wait()
        assert await folded_rows(database) == len(stream.writer.rows)
        await listener.close()
        stop.set()
        async with asyncio.timeout(2):
            await running


class TestLag:
    async def test_is_the_age_of_the_oldest_delta_that_is_not_folded(self, stream: Stream, database: Database) -> None:
        [probe] = stream.folder.health_probes()
        async with database.transaction() as early:
            await early.fetchval("select pg_current_xact_id()")
            await send(stream, 1)
            stream.clock.advance(seconds=100)
            await stream.folder.fold_all()
            assert stream.folder.lag.seconds == 100
            assert (await probe.check()).status is Status.DEGRADED
        await stream.folder.fold_all()
        assert stream.folder.lag.seconds == 0
        assert (await probe.check()).status is Status.HEALTHY

    async def test_grows_when_rounds_no_longer_come(self, stream: Stream) -> None:
        await stream.folder.fold_all()
        stream.clock.advance(seconds=7)
        assert stream.folder.lag.seconds == 7

    async def test_is_told_by_a_process_that_does_not_fold(
        self, stream: Stream, database: Database, settings: Settings
    ) -> None:
        """Where none does the alert must go off."""
        await send(stream, 1)
        stream.clock.advance(seconds=100)
        idle = settings.model_copy(update={"tracking": settings.tracking.model_copy(update={"fold": False})})
        async with running(create_app(idle, clock=stream.clock, database=database)) as app, client_of(app) as client:

            async def folding_is(status: str) -> None:
                async with asyncio.timeout(10):
                    while await folding_now() != status:  # noqa: ASYNC110  nothing tells of it
                        await asyncio.sleep(0.05)

            async def folding_now() -> str | None:
                components = (await client.get("/system/health")).json()["components"]
                return str(components["folding"]["status"]) if "folding" in components else None

            await folding_is("degraded")
            assert "assay_folding_lag_seconds 100.0" in (await client.get("http://test/metrics")).text
            await stream.folder.fold_all()  # by another process
            await app.state.services[LagWatch].look()
            await folding_is("healthy")
            assert "assay_folding_lag_seconds 0.0" in (await client.get("http://test/metrics")).text


class TestTheHorizon:
    async def test_is_just_before_now_where_nobody_writes(self, stream: Stream, database: Database) -> None:
        now = stream.clock.now_us()
        horizon = Horizon(database, stream.clock)
        assert await horizon.settle(now + 5 * SECOND) == now - 1
        assert await horizon.settle(now - 5 * SECOND) == now - 5 * SECOND

    async def test_does_not_pass_a_writer_that_has_read_the_clock(self, stream: Stream, database: Database) -> None:
        """The writer has the highest transaction id of all: a snapshot's xmax would overlook it."""
        start = stream.clock.now_us()
        horizon = Horizon(database, stream.clock)
        await horizon.settle(start)
        stream.clock.advance(seconds=1)
        async with database.transaction() as writer:
            arrival = await arrivals.arrive(writer, stream.clock)
            stream.clock.advance(seconds=1)
            for _ in range(3):
                assert await horizon.settle(arrival.us) < arrival.us
                await stream.folder.fold_all()
        assert await horizon.settle(arrival.us) == arrival.us

    async def test_is_found_in_the_database_by_a_new_process(self, stream: Stream, database: Database) -> None:
        noted = stream.clock.now_us()
        await send(stream, 1)
        await stream.folder.fold_all()
        async with database.transaction() as writer:
            await arrivals.arrive(writer, stream.clock)
            assert await Horizon(database, stream.clock).settle(stream.clock.now_us() + SECOND) > noted


class TestRevision:
    async def test_changes_with_what_is_stored_and_not_with_folding(self, stream: Stream, database: Database) -> None:
        reading = Reading(database, stream.clock)
        seen = [await reading.revision(stream.facts.id)]
        for _ in range(3):
            await send(stream, 1)
            seen.append(await reading.revision(stream.facts.id))
            await stream.folder.fold_all()
            assert await reading.revision(stream.facts.id) == seen[-1]
        assert len(set(seen)) == 4

    async def test_notices_an_older_transaction_that_ends_later(self, stream: Stream, database: Database) -> None:
        reading = Reading(database, stream.clock)
        async with database.transaction() as early:
            await early.execute(
                "insert into delta (known_at, model_no, kind, body) values (now(), $1, 0, '')", stream.facts.id
            )
            await send(stream, 1)
            before = await reading.revision(stream.facts.id)
        assert await reading.revision(stream.facts.id) != before
