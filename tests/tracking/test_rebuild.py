"""Counting everything again finds what the folder wrote, and mends what is wrong."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from app.core.clock import DAY, HOUR, MINUTE, FrozenClock, rfc3339
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.stats.tally import Tally
from app.tracking.rollups.expansions import Expansions
from app.tracking.rollups.fold import Folder
from app.tracking.rollups.grains import Cut, answer
from app.tracking.rollups.reading import Reading
from app.tracking.rollups.rebuild import Rebuild
from app.tracking.service import TrackingService
from tests.support.models import make_model
from tests.support.streams import TASKS, Stream, make_stream
from tests.support.tracking import label, recounted, send, tracking


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


class TestTheServicesTraffic:
    """Rows through the service, many requests at once, folded meanwhile."""

    @pytest.mark.parametrize("seed", range(3))
    async def test_is_found_again_bit_for_bit(self, database: Database, clock: FrozenClock, seed: int) -> None:
        draw = random.Random(seed)
        facts = await make_model(database, versions=("1", "2"))
        service, folder = tracking(database, clock), Folder(database, clock)
        for _ in range(12):
            clock.advance(seconds=draw.choice([0.2, 50, 4000]))
            sent = [self.request(service, clock, draw) for _ in range(draw.randint(1, 5))]
            await asyncio.gather(*sent, *([folder.fold_all()] if draw.random() < 0.5 else []))
        assert await Rebuild(database, clock).check(facts) == []
        await self.agree_as_of(database, clock, facts, draw)
        await folder.fold_all()
        assert await Rebuild(database, clock).check(facts) == []
        await self.agree_as_of(database, clock, facts, draw)

    def request(self, service: TrackingService, clock: FrozenClock, draw: random.Random) -> Coroutine[Any, Any, Any]:
        """Predictions or labels of some of 60 ids: early, late, again, otherwise; some are imports."""
        imported = draw.random() < 0.3
        names = [f"p{number}" for number in draw.sample(range(60), draw.randint(1, 12))]
        moments = [rfc3339(clock.now_us() - draw.choice([0, 3 * HOUR, 2 * DAY])) for _ in names]
        if draw.random() < 0.5:
            rows = [
                {"prediction_id": name, "score": int(name[1:]) / 60, "timestamp": moment, "segment": {"odd": name[-1]}}
                for name, moment in zip(names, moments, strict=True)
            ]
            return send(service, *rows, **({"import": True} if imported else {}))
        labels = [
            {"prediction_id": name, "actual": draw.choice("01"), "timestamp": moment, "correction": draw.random() < 0.5}
            for name, moment in zip(names, moments, strict=True)
        ]
        return label(service, *labels, **({"import": True} if imported else {}))

    async def agree_as_of(self, database: Database, clock: FrozenClock, facts: ModelFacts, draw: random.Random) -> None:
        """Answers as of the ends of minutes against the raw rows that became known before."""
        ledger, reading = await recounted(database, facts), Reading(database, clock)
        async with database.connection() as connection:
            contexts = await Expansions().of(connection, facts.id, ledger.cells["context"])
        for minute in draw.sample(ledger.cells["known"].tolist(), 6):
            series = await reading.series(facts, grain_s=3600, as_of_us=minute * MINUTE - 1, histograms=True)
            expected = answer(ledger, contexts, Cut(3600), known_below=minute)
            assert series.tally.total().sparse == Tally.of(facts.shape, len(expected), expected.sparse).total().sparse
