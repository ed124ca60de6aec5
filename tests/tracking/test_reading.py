"""Answers equal a plain count of the rows that were known, whatever was folded when."""

import numpy as np
import pytest

from app.core.clock import DAY, HOUR, MINUTE, SECOND, FrozenClock
from app.db.engine import Database
from app.stats.sparse import Sparse, regroup
from app.stats.tally import Tally
from app.tracking.rollups.errors import UnknownSegment
from app.tracking.rollups.moments import Moments
from app.tracking.rollups.reading import Reading, Series
from tests.support.models import make_model
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


class TestTheSideOfAnHour:
    """That is counted from raw rows."""

    @pytest.mark.parametrize(
        ("minute", "counted"),
        [
            pytest.param(5, "what came before", id="early in the hour"),
            pytest.param(40, "what came after", id="late in a past hour"),
            pytest.param(59, "what came after", id="just before the next hour"),
        ],
    )
    async def test_is_the_shorter_one(self, database: Database, clock: FrozenClock, minute: int, counted: str) -> None:
        stream = await make_stream(database, clock, "binary", seed=9)
        begin = -(-clock.now_us() // HOUR) * HOUR
        clock.advance(seconds=(begin - clock.now_us()) / 1_000_000 + 1)
        for _ in range(12):
            await stream.writer.predict(stream.predictions(clock.now_us()))
            clock.advance(seconds=300)
        us = begin + minute * MINUTE
        moments, reading = Moments(database, clock), Reading(database, clock)
        async with database.transaction(snapshot=True) as connection:
            moment = await moments.at(connection, stream.facts, us)
        amounts = moment.rest.sparse.amount
        before = (us - begin - SECOND) // (5 * MINUTE) + 1  # they came a second after the full five minutes
        rows = before if counted == "what came before" else 12 - before
        assert len(np.unique(moment.rest.cells["known"])) == rows
        assert (amounts > 0).all() if counted == "what came before" else (amounts < 0).all()
        series = await reading.series(stream.facts, grain_s=3600, as_of_us=us, histograms=True)
        assert_same(series, stream.expected(3600, us))

    async def test_costs_nothing_just_after_a_burst(self, database: Database, clock: FrozenClock) -> None:
        stream = await make_stream(database, clock, "binary", seed=9)
        clock.advance(seconds=600)
        await stream.writer.predict(stream.predictions(clock.now_us()))
        clock.advance(seconds=1)
        async with database.transaction(snapshot=True) as connection:
            moment = await Moments(database, clock).at(connection, stream.facts, clock.now_us() - 1)
        assert len(moment.rest) == 0


class TestAQuestion:
    """What of the traffic it is about."""

    @pytest.fixture
    async def answered(self, database: Database, clock: FrozenClock) -> tuple[Stream, Reading]:
        """Half of it folded."""
        stream = await make_stream(database, clock, "binary", seed=5)
        for number in range(30):
            clock.advance(seconds=5000)
            await stream.writer.predict(stream.predictions(clock.now_us()))
            await stream.label(corrected=False)
            if number == 15:
                await stream.folder.fold_all()
        return stream, Reading(database, clock)

    @pytest.mark.parametrize("as_of", [False, True])
    @pytest.mark.parametrize(
        ("offset_from", "offset_to"),
        [
            pytest.param(0, 0, id="whole buckets"),
            pytest.param(1, 1, id="a bucket belongs to where it starts: a started one is left out, a last one whole"),
            pytest.param(-1, -1, id="just before"),
        ],
    )
    async def test_covers_the_buckets_that_start_in_its_range(
        self, answered: tuple[Stream, Reading], offset_from: int, offset_to: int, as_of: bool
    ) -> None:
        stream, reading = answered
        moment = stream.clock.now_us() - 1
        starts, _ = stream.expected(3600, moment)
        low, high = starts[len(starts) // 4] + offset_from, starts[-3] + offset_to
        series = await reading.series(
            stream.facts, grain_s=3600, from_us=low, to_us=high, as_of_us=moment if as_of else None
        )
        assert series.start_us.tolist() == [start for start in starts if low <= start < high]

    async def test_by_the_minute_sees_the_last_two_days(self, answered: tuple[Stream, Reading]) -> None:
        stream, reading = answered
        starts, sparse = stream.expected(60, stream.clock.now_us())
        floor = (stream.clock.now_us() // HOUR - 48) * HOUR
        series = await reading.series(stream.facts, grain_s=60, histograms=True)
        assert series.start_us.tolist() == [start for start in starts if start >= floor]
        full = Tally.of(stream.facts.shape, len(starts), sparse)
        assert series.tally.confusion.tolist() == full.confusion[-len(series.start_us) :].tolist()

    async def test_names_the_segments_there_are(self, answered: tuple[Stream, Reading]) -> None:
        stream, reading = answered
        with pytest.raises(UnknownSegment) as refusal:
            await reading.series(stream.facts, grain_s=3600, segment="channel:fax")
        assert refusal.value.members["known"] == ["channel:app", "channel:web", "country:DE"]

    async def test_refuses_a_grain_that_is_not_kept(self, answered: tuple[Stream, Reading]) -> None:
        stream, reading = answered
        with pytest.raises(ValueError, match="grain_s"):
            await reading.series(stream.facts, grain_s=7200)

    async def test_of_all_models_gives_each_its_total(
        self, answered: tuple[Stream, Reading], database: Database, clock: FrozenClock
    ) -> None:
        stream, reading = answered
        other = await make_stream_of(database, clock, "m2", "regression")
        silent = await make_model(database, "m3")
        models = [stream.facts, other.facts, silent]
        totals = await reading.totals(models, histograms=True)
        assert set(totals) == {(stream.facts.id, None), (other.facts.id, None)}
        for each in (stream, other):
            starts, sparse = each.expected(3600, clock.now_us())
            share = totals[each.facts.id, None]
            expected = Tally.of(each.facts.shape, len(starts), sparse).total()
            assert share.tally.n[share.point] == expected.n[0]
            assert point_of(share.tally, share.point) == expected.sparse

    async def test_of_all_models_can_be_cut_by_version_and_range(self, answered: tuple[Stream, Reading]) -> None:
        stream, reading = answered
        for span in (None, (9 * HOUR + 5, 2 * HOUR), (3 * DAY, HOUR)):
            now = stream.clock.now_us()
            low, high = (None, None) if span is None else (now - span[0], now - span[1])
            totals = await reading.totals([stream.facts], histograms=True, by_version=True, from_us=low, to_us=high)
            for version_no in stream.facts.versions.values():
                starts, sparse = stream.expected(3600, now, version_no=version_no)
                kept = np.array([low is None or low <= start < (high or 0) for start in starts])
                target = np.where(kept, 0, -1)
                share = totals[stream.facts.id, version_no]
                assert point_of(share.tally, share.point) == regroup(sparse, target)

    @pytest.mark.parametrize("as_of", [None, 20 * HOUR])
    async def test_about_delays_counts_labels_and_what_waits(
        self, answered: tuple[Stream, Reading], as_of: int | None
    ) -> None:
        stream, reading = answered
        moment = None if as_of is None else stream.clock.now_us() - as_of
        delays = await reading.delays(stream.facts, as_of_us=moment)
        starts, sparse = stream.expected(3600, delays.as_of_us)
        tally = Tally.of(stream.facts.shape, len(starts), sparse)
        assert delays.histogram.tolist() == tally.delays.sum(axis=0).tolist()
        assert delays.waiting.sum() == (tally.n - tally.labelled).sum()
        assert (delays.age_us >= 0).all()


def point_of(tally: Tally, point: int) -> Sparse:
    """One point's entries, as of a tally of its own."""
    target = np.full(tally.points, -1)
    target[point] = 0
    return regroup(tally.sparse, target)


async def make_stream_of(database: Database, clock: FrozenClock, model_id: str, task: str) -> Stream:
    stream = await make_stream(database, clock, task, seed=9, model_id=model_id)
    for _ in range(10):
        await stream.step()
    return stream
