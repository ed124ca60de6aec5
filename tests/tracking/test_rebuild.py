"""Counting everything again finds what the folder wrote, and mends what is wrong."""

import pytest

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.tracking.reading import Reading
from app.tracking.rebuild import Rebuild
from tests.support.streams import TASKS, Stream, make_stream


@pytest.fixture(params=TASKS)
async def stream(request: pytest.FixtureRequest, database: Database, clock: FrozenClock) -> Stream:
    made = await make_stream(database, clock, request.param, seed=7)
    for _ in range(40):
        await made.step()
    return made


async def spoil(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("update rollup set core = '' where grain = 3600 and segment_no = 0")
        await connection.execute("delete from triangle where grain = 86400")
        await connection.execute("update rollup set n = n, core = core || core where grain = 0 and segment_no > 0")


class TestCheckingAgainstRawRows:
    async def test_finds_no_difference_after_any_history(self, stream: Stream, database: Database) -> None:
        rebuild = Rebuild(database, stream.clock)
        assert await rebuild.check(stream.facts) == []
        await stream.folder.fold_all()
        assert await rebuild.check(stream.facts) == []

    async def test_names_the_rows_that_are_wrong(self, stream: Stream, database: Database) -> None:
        await stream.folder.fold_all()
        await spoil(database)
        found = await Rebuild(database, stream.clock).check(stream.facts)
        assert {(row.table, row.key[2]) for row in found} == {("rollup", 3600), ("triangle", 86_400), ("rollup", 0)}
        assert all(row.entries > 0 for row in found)


class TestRebuilding:
    async def test_mends_every_row_while_deltas_wait_to_be_folded(self, stream: Stream, database: Database) -> None:
        await stream.folder.fold_all()
        await spoil(database)
        await stream.writer.predict(stream.predictions(stream.clock.now_us()))
        rebuild, reading = Rebuild(database, stream.clock), Reading(database, stream.clock)
        before = await reading.revision(stream.facts.id)
        await rebuild.rebuild(stream.facts)
        assert await rebuild.check(stream.facts) == []
        assert await reading.revision(stream.facts.id) != before
        await stream.folder.fold_all()
        assert await rebuild.check(stream.facts) == []
        series = await reading.series(stream.facts, grain_s=3600, histograms=True)
        expected = stream.expected(3600, stream.clock.now_us())
        assert (series.start_us.tolist(), series.tally.sparse) == expected
