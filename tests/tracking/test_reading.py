"""Answers equal a plain count of the rows that were known, whatever was folded when."""

import pytest

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.stats.sparse import Sparse
from app.tracking.reading import Reading, Series
from tests.support.streams import TASKS, Stream, make_stream


def assert_same(series: Series, expected: tuple[list[int], Sparse]) -> None:
    starts, sparse = expected
    assert series.start_us.tolist() == starts
    assert series.tally.sparse == sparse


@pytest.fixture(params=TASKS)
async def stream(request: pytest.FixtureRequest, database: Database, clock: FrozenClock) -> Stream:
    return await make_stream(database, clock, request.param)


class TestARandomStream:
    async def test_is_answered_as_a_plain_count_of_its_rows_would(self, stream: Stream, database: Database) -> None:
        reading = Reading(database, stream.clock)
        for _ in range(60):
            await stream.step()
            if stream.random.random() < 0.3:
                await self.check_now(stream, reading)
        await stream.folder.fold_all()
        await self.check_now(stream, reading)

    async def check_now(self, stream: Stream, reading: Reading) -> None:
        now = stream.clock.now_us()
        for grain_s in (3600, 86_400):
            series = await reading.series(stream.facts, grain_s=grain_s, histograms=True)
            assert_same(series, stream.expected(grain_s, now))
        version_no = stream.facts.versions["2"]
        series = await reading.series(stream.facts, grain_s=3600, version_no=version_no, histograms=True)
        assert_same(series, stream.expected(3600, now, version_no=version_no))
        series = await reading.series(stream.facts, grain_s=86_400, segment="channel:app", histograms=True)
        segment_no = next(no for no, *name in await reading.segments(stream.facts.id) if name == ["channel", "app"])
        assert_same(series, stream.expected(86_400, now, segment_no=segment_no))

    async def test_is_answered_as_of_a_moment_by_what_was_known_then(self, stream: Stream, database: Database) -> None:
        reading = Reading(database, stream.clock)
        for _ in range(50):
            await stream.step()
        for moment in stream.moments():
            for grain_s in (3600, 86_400):
                series = await reading.series(stream.facts, grain_s=grain_s, as_of_us=moment, histograms=True)
                assert series.as_of_us == min(moment, stream.clock.now_us() - 1)
                assert_same(series, stream.expected(grain_s, series.as_of_us))
            if stream.random.random() < 0.3:
                await stream.step()
