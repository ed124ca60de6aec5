"""Partitions are there before they are needed; what is past its time goes, rollups stay."""

import pytest

from app.core import telemetry
from app.core.clock import DAY, HOUR, FrozenClock, from_datetime, to_datetime
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.tracking.repository import partitions
from app.tracking.rollups.reading import Reading
from app.tracking.rollups.rebuild import Rebuild
from app.tracking.rollups.upkeep import Upkeep
from tests.support.models import make_model
from tests.support.raw_writer import RawWriter, Row
from tests.support.streams import Stream, make_stream
from tests.support.times import NOON


async def count(database: Database, table: str) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(f"select count(*) from {table}"))


async def names(database: Database, table: str) -> set[str]:
    async with database.connection() as connection:
        return await partitions.names(connection, table)


@pytest.fixture
async def stream(database: Database, clock: FrozenClock) -> Stream:
    """Traffic of two days, all folded."""
    made = await make_stream(database, clock, "binary", seed=3)
    while clock.now_us() < from_datetime(NOON) + 2 * DAY:
        clock.advance(seconds=3 * 3600)
        await made.writer.predict(made.predictions(clock.now_us()))
        await made.label(corrected=False)
    await made.folder.fold_all()
    return made


@pytest.fixture
def upkeep(database: Database, clock: FrozenClock) -> Upkeep:
    return Upkeep(database, clock, Catalogue(database, retention_days=30))


class TestPartitions:
    async def test_are_made_a_week_ahead_and_by_month_for_the_triangle(
        self, database: Database, upkeep: Upkeep
    ) -> None:
        await upkeep.once()
        for table in ("block", "label", "delta"):
            assert {f"{table}_202603{day:02}" for day in range(2, 9)} <= await names(database, table)
        assert {"triangle_202603", "triangle_202604", "triangle_202605"} <= await names(database, "triangle")

    async def test_take_over_what_the_default_partition_had_to_take(
        self, database: Database, stream: Stream, upkeep: Upkeep
    ) -> None:
        stream.clock.set(from_datetime(NOON))  # as if the job had slept
        before = {table: await count(database, table) for table in ("block", "label", "delta", "triangle")}
        assert await count(database, "block_default") == before["block"]
        await upkeep.make_ahead()
        assert {table: await count(database, table) for table in before} == before
        assert [await count(database, f"{table}_default") for table in ("block", "label", "delta")] == [0, 0, 0]
        stream.clock.advance(seconds=3 * 86_400)
        assert await Rebuild(database, stream.clock).check(stream.facts) == []

    async def test_are_made_once_however_often_it_runs(self, database: Database, upkeep: Upkeep) -> None:
        await upkeep.once()
        first = await names(database, "block")
        await upkeep.once()
        assert await names(database, "block") == first


class TestDeltas:
    async def test_go_after_three_days_once_folded(self, database: Database, stream: Stream, upkeep: Upkeep) -> None:
        await upkeep.make_ahead()
        stream.clock.advance(seconds=10 * 86_400)
        await upkeep.drop_deltas()
        assert await count(database, "delta") == 0
        assert not {name for name in await names(database, "delta") if name.startswith("delta_202603")} & {
            f"delta_202603{day:02}" for day in range(2, 9)
        }

    async def test_stay_while_they_are_not_folded(self, database: Database, stream: Stream, upkeep: Upkeep) -> None:
        await upkeep.make_ahead()
        await stream.writer.predict(stream.predictions(stream.clock.now_us()))
        stream.clock.advance(seconds=10 * 86_400)
        await upkeep.drop_deltas()
        assert await count(database, "delta") > 0
        assert "delta_20260304" in await names(database, "delta")


class TestRetention:
    @pytest.mark.parametrize("ahead", [True, False], ids=["in daily partitions", "in the default partition"])
    async def test_ends_raw_rows_and_keeps_rollups(
        self, database: Database, stream: Stream, upkeep: Upkeep, ahead: bool
    ) -> None:
        if ahead:
            stream.clock.set(from_datetime(NOON))
            await upkeep.make_ahead()
        await put_keys(database, stream)
        stream.clock.set(from_datetime(NOON) + 31 * DAY)
        reading = Reading(database, stream.clock)
        before = await reading.series(stream.facts, grain_s=3600, histograms=True)
        await upkeep.once()
        border = from_datetime(NOON) // DAY * DAY + DAY
        assert await count(database, "block") == len({row.place >> 16 for row in kept_rows(stream, border)})
        assert await count(database, "prediction") == len(kept_rows(stream, border))
        after = await reading.series(stream.facts, grain_s=3600, histograms=True)
        assert after.tally.sparse == before.tally.sparse
        assert await Rebuild(database, stream.clock).check(stream.facts) == []

    async def test_leaves_the_days_that_another_model_needs(
        self, database: Database, stream: Stream, upkeep: Upkeep
    ) -> None:
        stream.clock.set(from_datetime(NOON))
        await upkeep.make_ahead()
        other = RawWriter(database, stream.clock, await make_model(database, "m2", retention_days=400))
        version_no = other.facts.versions["1"]
        context_id, segments = await other.context(version_no, {})
        now = stream.clock.now_us()
        await other.predict([Row(now, now, context_id, version_no, segments, 1, 0.7)])
        stream.clock.set(from_datetime(NOON) + 60 * DAY)
        await upkeep.once()
        assert await count(database, "block") == 1

    async def test_of_rollups_does_not_end_with_the_raw_rows_when_mended(
        self, database: Database, stream: Stream, upkeep: Upkeep
    ) -> None:
        reading = Reading(database, stream.clock)
        before = await reading.series(stream.facts, grain_s=86_400, histograms=True)
        stream.clock.set(from_datetime(NOON) + 31 * DAY)
        await upkeep.once()
        await Rebuild(database, stream.clock).rebuild(stream.facts)
        after = await reading.series(stream.facts, grain_s=86_400, histograms=True)
        assert after.tally.sparse == before.tally.sparse
        totals = await reading.totals([stream.facts], histograms=True)
        assert totals[stream.facts.id, None].tally.sparse == before.tally.total().sparse

    async def test_answers_as_of_a_moment_without_raw_rows_as_of_the_hour_before(
        self, database: Database, stream: Stream, upkeep: Upkeep
    ) -> None:
        moment = from_datetime(NOON) + 7 * HOUR + 1234
        stream.clock.set(from_datetime(NOON) + 31 * DAY)
        await upkeep.once()
        series = await Reading(database, stream.clock).series(
            stream.facts, grain_s=3600, as_of_us=moment, histograms=True
        )
        assert series.as_of_us == from_datetime(NOON) + 7 * HOUR - 1
        assert (series.start_us.tolist(), series.tally.sparse) == stream.expected(3600, series.as_of_us)

    async def test_ends_labels_that_wait_and_their_stubs(
        self, database: Database, stream: Stream, upkeep: Upkeep
    ) -> None:
        now = to_datetime(stream.clock.now_us())
        async with database.transaction() as connection:
            await connection.execute(
                "insert into label_waiting (key, model_no, actual, event_at, arrived_at, known_at) "
                "values ($1, $2, 1, $3, $3, $3)",
                *(b"late", stream.facts.id, now),
            )
            await connection.execute(
                "insert into prediction (key, place, content, predicted_at, score, context_id, predicted) "
                "values ($1, -1, 0, $2, 0, 0, 0)",
                *(b"late", now),
            )
        await upkeep.once()
        assert (await count(database, "label_waiting"), await count(database, "prediction")) == (1, 1)
        stream.clock.advance(seconds=32 * 86_400)
        counter = telemetry.EXPIRED_LABELS.labels(telemetry.model_label(stream.facts.model_id))
        before = counter._value.get()
        await upkeep.once()
        assert (await count(database, "label_waiting"), await count(database, "prediction")) == (0, 0)
        await upkeep.once()
        assert counter._value.get() - before == 1

    async def test_ends_the_minute_grain_after_two_days(
        self, database: Database, stream: Stream, upkeep: Upkeep
    ) -> None:
        reading = Reading(database, stream.clock)
        assert (await reading.series(stream.facts, grain_s=60)).tally.n.sum() > 0
        stream.clock.advance(seconds=3 * 86_400)
        await upkeep.once()
        assert (await reading.series(stream.facts, grain_s=60)).tally.n.sum() == 0
        async with database.connection() as connection:
            assert await connection.fetchval("select count(*) from rollup where grain = 60") == 0


def kept_rows(stream: Stream, border: int) -> list[Row]:
    return [row for row in stream.writer.rows if row.known_at >= border]


async def put_keys(database: Database, stream: Stream) -> None:
    model = stream.facts.id.to_bytes(4, "big")
    async with database.transaction() as connection:
        await connection.executemany(
            "insert into prediction (key, place, content, predicted_at, score, context_id, predicted) "
            "values ($1, $2, 0, now(), 0, 0, 0)",
            [(model + b"\0" + str(row.place).encode(), row.place) for row in stream.writer.rows],
        )
