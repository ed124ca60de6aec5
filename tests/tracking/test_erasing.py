"""Erasing subjects: their rows are gone for good, what was known of before stands, a retry is refused."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from app.core.clock import FrozenClock
from app.db.engine import Database
from app.jobs import repository as jobs
from app.jobs.job import NewJob
from app.jobs.run import Run, Superseded
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.digests import key_digest, subject_digest
from app.tracking.erasing.erase import Eraser
from app.tracking.erasing.gather import gather
from app.tracking.errors import PredictionNotFound
from app.tracking.repository import predictions
from app.tracking.rollups.features import Features
from app.tracking.rollups.fold import Folder
from app.tracking.rollups.reading import Reading
from app.tracking.rollups.rebuild import Rebuild
from app.tracking.service import TrackingService
from app.tracking.storing.keys import key_of
from tests.support.models import make_model
from tests.support.tracking import label, rows_of, send, tracking

REFERENCE = {"amount": {"bins": [0.0, 0.25, 0.5, 0.75, 1.0], "counts": [5, 5, 5, 5]}}


@dataclass
class House:
    """A model with traffic, and all that reads and erases it."""

    database: Database
    clock: FrozenClock
    facts: ModelFacts
    service: TrackingService
    folder: Folder
    features: Features

    async def fold(self) -> None:
        await self.folder.fold_all()
        await self.features.fold_all()

    async def traffic(self, names: dict[str, str | None], seed: int = 1) -> None:
        """Predictions (id -> subject) in requests of five, labels for most, some of them corrected later."""
        draw = random.Random(seed)
        rows = [self.row(name, subject) for name, subject in names.items()]
        for start in range(0, len(rows), 5):
            await send(self.service, *rows[start : start + 5])
            self.clock.advance(seconds=700)
        labelled = [name for name in names if draw.random() < 0.8]
        await label(self.service, *({"prediction_id": name, "actual": self.truth(draw)} for name in labelled))
        self.clock.advance(seconds=4000)
        corrected = [{"prediction_id": name, "actual": self.truth(draw), "correction": True} for name in labelled[::3]]
        await label(self.service, *corrected)
        self.clock.advance(seconds=60)

    def row(self, name: str, subject: str | None) -> dict[str, Any]:
        draw = random.Random(name)
        row = {
            "prediction_id": name,
            **self.said(draw),
            "features": {"amount": draw.random(), "country": f"land-{name}"},
            "segment": {"channel": draw.choice(["web", "app"])},
        }
        return row if subject is None else {**row, "subject": subject}

    def said(self, draw: random.Random) -> dict[str, Any]:
        if self.facts.task is Task.REGRESSION:
            return {"predicted": draw.uniform(-5, 5)}
        if self.facts.task is Task.BINARY:
            return {"score": draw.random()}
        cat, dog = draw.uniform(0, 0.5), draw.uniform(0, 0.5)
        return {"scores": {"cat": cat, "dog": dog, "owl": 1 - cat - dog}}

    def truth(self, draw: random.Random) -> str | float:
        return draw.uniform(-5, 5) if self.facts.task is Task.REGRESSION else draw.choice(self.facts.classes)

    async def run(self) -> Run:
        async with self.database.transaction() as connection:
            made = await jobs.enqueue(connection, NewJob("purge", "test", {}, self.facts.model_id))
            job = await jobs.claim(connection, made.id, 1, 1)
        assert job is not None
        return Run(self.database, job)

    async def erase(self, *subjects: str, run: Run | None = None, rows_at_once: int = 2) -> dict[str, int]:
        async with self.database.connection() as connection:
            secret = await predictions.subject_secret(connection)
        eraser = Eraser(self.database, self.clock, self.features, rows_at_once=rows_at_once)
        digests = [subject_digest(secret, subject) for subject in subjects]
        return await eraser.subjects(run or await self.run(), self.facts, digests)

    async def tally(self, as_of_us: int | None = None) -> Any:
        reading = Reading(self.database, self.clock)
        return (await reading.series(self.facts, grain_s=3600, as_of_us=as_of_us, histograms=True)).tally

    async def differences(self) -> list[Any]:
        return list(await Rebuild(self.database, self.clock).check(self.facts))


@pytest.fixture(params=["binary", "multiclass", "regression"])
async def house(request: pytest.FixtureRequest, database: Database, clock: FrozenClock) -> House:
    return await build(database, clock, request.param)


@pytest.fixture
async def binary(database: Database, clock: FrozenClock) -> House:
    return await build(database, clock, "binary")


async def build(database: Database, clock: FrozenClock, task: str) -> House:
    facts = await make_model(database, task=task, reference=REFERENCE)
    features = Features(database, clock, Catalogue(database))
    return House(database, clock, facts, tracking(database, clock), Folder(database, clock), features)


def names(count: int, erased: int) -> dict[str, str | None]:
    """Ids with subjects; every so many-th is ada's."""
    return {f"p{number:03}": "ada" if number % erased == 0 else f"s{number % 4}" for number in range(count)}


class TestErasingASubject:
    async def test_takes_raw_rows_away_and_leaves_what_was_known(self, house: House) -> None:
        await house.traffic(names(40, 3))
        moment, before = house.clock.now_us() - 1, await house.tally()
        await house.fold()
        assert await house.erase("ada") == {"rows": 14, "late_labels": 0}
        gone = [name for name, subject in names(40, 3).items() if subject == "ada"]
        for name in gone:
            with pytest.raises(PredictionNotFound):
                await house.service.prediction("m1", name)
        assert (await house.service.prediction("m1", "p001")).features is not None
        raw = await raw_rows(house.database)
        assert not [name for name in gone if name in raw]
        assert "p001" in raw
        assert await rows_of(house.database, "subject") == 26
        for _ in range(2):  # while its deltas wait, and once they are folded
            assert await house.differences() == []
            assert int((await house.tally()).n.sum()) == 26
            assert (await house.tally(moment)).total().sparse == before.total().sparse
            await house.fold()

    @pytest.mark.parametrize("folded", [True, False], ids=["in the histograms", "not yet"])
    async def test_takes_features_out_of_their_histograms(self, binary: House, folded: bool) -> None:
        await binary.traffic(names(30, 2))
        await binary.fold()
        if not folded:
            async with binary.database.connection() as connection:
                await connection.execute("delete from feature_rollup; update fold_mark set features_xid = '0'")
        await binary.erase("ada")
        await binary.features.fold_all()
        kept = [
            binary.row(name, None)["features"]["amount"] for name, subject in names(30, 2).items() if subject != "ada"
        ]
        series = await binary.features.series(binary.facts.id)
        assert series is not None
        edges = [0.0, 0.25, 0.5, 0.75, 1.0]
        inside = series.counts["amount"].sum(axis=0)
        assert sorted(inside[inside > 0].tolist()) == sorted(n for n in np.histogram(kept, edges)[0].tolist() if n)
        assert int(series.n.sum()) == len(kept)

    async def test_keeps_the_past_at_every_minute(self, house: House) -> None:
        await house.traffic(names(20, 2))
        await house.fold()
        now = house.clock.now_us()
        moments = [now - minutes * 60_000_000 - 1 for minutes in (1, 5, 30, 59, 61, 68, 90, 120)]
        before = [(await house.tally(moment)).total().sparse for moment in moments]
        await house.erase("ada")
        house.clock.advance(seconds=7)
        after = [(await house.tally(moment)).total().sparse for moment in moments]
        assert after == before
        await house.fold()
        assert [(await house.tally(moment)).total().sparse for moment in moments] == before

    async def test_can_be_rebuilt_without_changing_an_answer(self, house: House) -> None:
        await house.traffic(names(20, 2))
        await house.fold()
        moment = house.clock.now_us() - 1
        await house.erase("ada")
        house.clock.advance(seconds=3600)
        await house.fold()
        now, then = await house.tally(), await house.tally(moment)
        await Rebuild(house.database, house.clock).rebuild(house.facts)
        assert (await house.tally()).sparse == now.sparse
        assert (await house.tally(moment)).sparse == then.sparse
        assert await house.differences() == []

    async def test_of_rows_whose_block_retention_has_dropped_ends(self, binary: House) -> None:
        await binary.traffic(names(10, 2))
        async with binary.database.connection() as connection:
            await connection.execute("delete from block; delete from label; delete from prediction")
        assert (await binary.erase("ada"))["rows"] == 0
        assert await rows_of(binary.database, "subject") == 5

    async def test_of_several_and_of_nobody(self, binary: House) -> None:
        await binary.traffic(names(20, 5))
        assert (await binary.erase("s1", "s2", "nobody"))["rows"] > 0
        assert (await binary.erase("s1", "s2", "nobody"))["rows"] == 0
        assert await binary.differences() == []


class TestWhatComesAfterwards:
    @pytest.fixture
    async def erased(self, binary: House) -> House:
        await binary.traffic(names(10, 2))
        await binary.erase("ada")
        return binary

    async def test_a_retry_is_refused_row_by_row(self, erased: House) -> None:
        rows = [erased.row(name, None) for name in ("p000", "p001", "new", "p002", "p000")]
        answer = await send(erased.service, *rows)
        assert (answer.accepted, answer.duplicates) == (1, 1)
        assert [(conflict.row, conflict.prediction_id) for conflict in answer.conflicts] == [
            *((0, "p000"), (3, "p002"), (4, "p000")),
        ]
        assert all("erased" in conflict.detail for conflict in answer.conflicts)
        for name in ("p000", "p002"):
            with pytest.raises(PredictionNotFound):
                await erased.service.prediction("m1", name)
        assert await erased.differences() == []

    async def test_a_retry_of_nothing_else_is_refused_too(self, erased: House) -> None:
        """No key of the request is taken: the road that asks for none must find it out."""
        answer = await send(erased.service, erased.row("p004", None), erased.row("other", None))
        assert (answer.accepted, [conflict.row for conflict in answer.conflicts]) == (1, [0])
        assert await erased.differences() == []

    async def test_a_label_counts_as_expired_and_waits_for_nothing(self, erased: House) -> None:
        labels = [{"prediction_id": name, "actual": "1", "correction": True} for name in ("p000", "p001", "unknown")]
        answer = await label(erased.service, *labels)
        assert (answer.expired, answer.waiting, answer.joined) == (1, 1, 1)
        async with erased.database.connection() as connection:
            assert await connection.fetchval("select count(*) from prediction where place < 0") == 1
        assert await erased.differences() == []

    async def test_the_subject_may_come_again(self, erased: House) -> None:
        answer = await send(erased.service, erased.row("fresh", "ada"))
        assert answer.accepted == 1
        assert (await erased.erase("ada"))["rows"] == 1

    async def test_only_hashes_say_what_was_erased(self, erased: House) -> None:
        async with erased.database.connection() as connection:
            rows = await connection.fetch("select digest, place from erased")
            assert len(rows) == 5
            assert not [row for row in rows if b"p00" in row["digest"]]
            assert "ada" not in str(await connection.fetch("select * from job"))


class TestBeingInterrupted:
    async def test_goes_on_where_it_stopped(self, binary: House) -> None:
        await binary.traffic(names(40, 2))
        await binary.fold()
        run = await binary.run()
        erasing = asyncio.ensure_future(binary.erase("ada", run=run))
        while await rows_of(binary.database, "subject") > 34:  # noqa: ASYNC110  the database is asked
            await asyncio.sleep(0.001)
        erasing.cancel()
        await asyncio.gather(erasing, return_exceptions=True)
        left = await rows_of(binary.database, "subject")
        assert 20 < left < 40
        assert await binary.differences() == []
        assert await binary.erase("ada") == {"rows": left - 20, "late_labels": 0}
        assert await binary.differences() == []

    async def test_an_attempt_that_was_overtaken_erases_nothing_more(self, binary: House) -> None:
        await binary.traffic(names(10, 2))
        run = await binary.run()
        async with binary.database.connection() as connection:
            await connection.execute("update job set attempt = 2")
        with pytest.raises(Superseded):
            await binary.erase("ada", run=run)
        assert await rows_of(binary.database, "subject") == 10

    async def test_amid_traffic_loses_and_doubles_nothing(self, binary: House) -> None:
        """Labels, corrections and retries of the very rows that are erased meanwhile."""
        await binary.traffic(names(60, 2))
        draw = random.Random(5)

        async def disturb() -> None:
            for _ in range(25):
                chosen = draw.sample([*names(60, 2)], 6)
                await asyncio.gather(
                    label(binary.service, *({"prediction_id": n, "actual": "1", "correction": True} for n in chosen)),
                    send(binary.service, *(binary.row(name, None) for name in chosen)),
                    binary.folder.fold_all(),
                )

        _, erased = await asyncio.gather(disturb(), binary.erase("ada"))
        assert erased["rows"] == 30
        assert await rows_of(binary.database, "prediction") == 30
        async with binary.database.connection() as connection:
            orphans = "select count(*) from label l where not exists (select from prediction p where p.place = l.place)"
            assert await connection.fetchval(orphans) == 0
        assert await binary.differences() == []
        assert np.asarray((await binary.tally()).n).sum() == 30


class TestErasingById:
    async def test_amid_traffic_leaves_nothing_under_an_erased_id(self, binary: House) -> None:
        """Labels that wait, the predictions they wait for, and the ids of both erased, all at once."""
        ids = [f"e{number:02}" for number in range(40)]
        await binary.traffic(names(10, 2))
        draw = random.Random(7)

        async def erase(asked: list[str]) -> int:
            async with binary.database.transaction() as connection:
                found = await gather(connection, binary.clock, binary.facts, asked)
            eraser = Eraser(binary.database, binary.clock, binary.features)
            return (await eraser.subjects(await binary.run(), binary.facts, [found.subject]))["rows"]

        for _ in range(12):
            chosen = [draw.sample(ids, 6) for _ in range(3)]
            await asyncio.gather(
                label(binary.service, *({"prediction_id": n, "actual": "1", "correction": True} for n in chosen[0])),
                send(binary.service, *(binary.row(name, None) for name in chosen[1])),
                erase(chosen[2][:3]),
                label(binary.service, *({"prediction_id": n, "actual": "0"} for n in chosen[2])),
            )
        async with binary.database.connection() as connection:
            secret = await predictions.subject_secret(connection)
            gone = {row[0] for row in await connection.fetch("select digest from erased")}
            held = {
                row[0]
                for row in await connection.fetch("select key from prediction union select key from label_waiting")
            }
            orphans = "select count(*) from label l where not exists (select from prediction p where p.place = l.place)"
            assert await connection.fetchval(orphans) == 0
        keys = {name: key_of(binary.facts.id, name) for name in ids}
        erased = {name for name, key in keys.items() if key_digest(secret, key) in gone}
        assert 5 < len(erased) < len(ids)
        assert not {name for name in erased if keys[name] in held}
        assert await binary.differences() == []


async def raw_rows(database: Database) -> str:
    """All bytes of raw rows, as text in which ids would be found."""
    async with database.connection() as connection:
        found = [
            bytes(row[0])
            for row in await connection.fetch("select body from block union all select key from prediction")
        ]
    return b" ".join(found).decode("latin-1")
