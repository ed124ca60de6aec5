"""Predictions: stored once, whatever is sent how often and by whom."""

import asyncio
import random
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from app.core.clock import DAY, HOUR, FrozenClock, SystemClock, from_datetime, rfc3339
from app.core.errors import InvalidRequest
from app.db.engine import Database
from app.models.errors import ModelNotFound
from app.stats.metrics import estimate
from app.tracking.errors import PredictionNotFound
from app.tracking.schemas import PredictionsStored
from tests.support.models import make_model
from tests.support.times import NOON
from tests.support.tracking import agree, counted, label, rows_of, send, totals, tracking

NOW = from_datetime(NOON)


def row(name: str, **fields: Any) -> dict[str, Any]:
    return {"prediction_id": name, "score": 0.7, "features": {"amount": 1.5, "country": "DE"}, **fields}


class TestNewRows:
    async def test_are_accepted_and_counted(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        answer = await send(tracking(database, clock), row("a"), row("b", score=0.2), row("c", predicted="0"))
        assert answer == PredictionsStored(accepted=3)
        found = await totals(database, facts)
        assert found.n.tolist() == [3]
        assert found.predicted.tolist() == [[2, 1]]
        await agree(database, facts)

    async def test_can_be_read_back(self, database: Database, clock: FrozenClock) -> None:
        await make_model(database)
        service = tracking(database, clock)
        sent = row("order/1", timestamp="2026-03-02T11:00:00Z", segment={"channel": "web"})
        await send(service, row("other"), sent)
        seen = await service.prediction("m1", "order/1")
        assert (seen.timestamp, seen.known_at, seen.version) == (
            "2026-03-02T11:00:00Z",
            "2026-03-02T12:00:00Z",
            "1",
        )
        assert (seen.score, seen.predicted, seen.segment) == (0.7, "1", {"channel": "web"})
        assert seen.features == {"amount": 1.5, "country": "DE"}
        assert (seen.labels, seen.waiting) == ([], None)
        with pytest.raises(PredictionNotFound):
            await service.prediction("m1", "nobody")

    async def test_need_a_model(self, database: Database, clock: FrozenClock) -> None:
        with pytest.raises(ModelNotFound):
            await send(tracking(database, clock), row("a"), model="nobody")

    async def test_without_a_frozen_clock_the_database_says_when(self, database: Database) -> None:
        await make_model(database)
        service = tracking(database, SystemClock())
        await send(service, row("a"))
        async with database.transaction() as connection:
            late = await connection.fetchval("select now() - max(known_at) < interval '1 minute' from delta")
        assert late

    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param({"prediction_id": ""}, id="an empty id names nothing"),
            pytest.param({"prediction_id": "z", "score": 2}, id="a probability above 1"),
            pytest.param({"prediction_id": "z", "score": 0.5, "version": "9"}, id="a version nobody registered"),
        ],
    )
    async def test_a_bad_row_keeps_all_out(self, database: Database, clock: FrozenClock, bad: dict[str, Any]) -> None:
        await make_model(database)
        with pytest.raises(InvalidRequest):
            await send(tracking(database, clock), row("a"), bad)
        assert [await rows_of(database, table) for table in ("prediction", "block", "delta")] == [0, 0, 0]


class TestRepeatedRows:
    async def test_the_same_again_is_a_duplicate_whatever_its_timestamp(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a", timestamp="2026-03-02T10:00:00Z"), row("b"))
        clock.advance(seconds=3600)
        answer = await send(service, row("a"), row("c"), row("b", timestamp="2026-03-01T10:00:00Z"))
        assert answer == PredictionsStored(accepted=1, duplicates=2)
        assert (await totals(database, facts)).n.tolist() == [3]
        assert (await service.prediction("m1", "a")).timestamp == "2026-03-02T10:00:00Z"
        await agree(database, facts)

    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param({"score": 0.8}, id="another score"),
            pytest.param({"predicted": "0"}, id="another class"),
            pytest.param({"version": "2"}, id="another version"),
            pytest.param({"features": {"amount": 1.5, "country": "FR"}}, id="another feature"),
            pytest.param({"features": {"amount": 1.5}}, id="a feature less"),
            pytest.param({"segment": {"channel": "web"}}, id="a segment more"),
        ],
    )
    async def test_the_same_id_with_other_content_is_a_conflict(
        self, database: Database, clock: FrozenClock, changed: dict[str, Any]
    ) -> None:
        facts = await make_model(database, versions=("1", "2"), champion="1")
        service = tracking(database, clock)
        await send(service, row("a"))
        before = await service.prediction("m1", "a")
        answer = await send(service, row("b"), row("a") | changed)
        assert (answer.accepted, answer.duplicates, len(answer.conflicts)) == (1, 0, 1)
        assert (answer.conflicts[0].row, answer.conflicts[0].prediction_id) == (1, "a")
        assert await service.prediction("m1", "a") == before
        await agree(database, facts)

    async def test_within_a_request_the_first_row_wins(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        answer = await send(service, row("a"), row("b"), row("a", score=0.1), row("a"), row("b"))
        assert (answer.accepted, answer.duplicates, [c.row for c in answer.conflicts]) == (2, 2, [2])
        await agree(database, facts)

    async def test_a_repeat_is_measured_by_what_stands_not_by_the_row_before(
        self, database: Database, clock: FrozenClock
    ) -> None:
        await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"))
        answer = await send(service, row("a", score=0.1), row("a"))
        assert (answer.accepted, answer.duplicates, [c.row for c in answer.conflicts]) == (0, 1, [0])

    async def test_ids_are_unique_per_model(self, database: Database, clock: FrozenClock) -> None:
        await make_model(database, "m1")
        await make_model(database, "m2")
        service = tracking(database, clock)
        for model in ("m1", "m2"):
            assert (await send(service, row("a"), model=model)).accepted == 1

    async def test_a_model_whose_clients_always_repeat_is_answered_as_well(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        for number in range(15):
            answer = await send(service, *(row(f"a{i}") for i in range(number + 1)))
            assert (answer.accepted, answer.duplicates) == (1, number)
        await agree(database, facts)


class TestManySenders:
    async def test_fifty_with_the_same_thousand_rows(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        rows = [row(f"p{number:06d}", score=number / 1000) for number in range(1000)]
        services = [tracking(database, clock) for _ in range(5)]
        answers = await asyncio.gather(*(send(services[sender % 5], *rows) for sender in range(50)))
        assert sum(answer.accepted for answer in answers) == 1000
        assert sum(answer.duplicates for answer in answers) == 49_000
        altered = [row(f"p{number:06d}", score=0.5001) for number in range(5)]
        assert len((await send(services[0], *rows[5:], *altered)).conflicts) == 5
        assert (await totals(database, facts)).n.tolist() == [1000]
        await agree(database, facts)

    async def test_shuffled_overlapping_batches_never_lock_each_other_out(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        draw = random.Random(5)
        names = [f"{'x' * draw.randrange(12)}{number}" for number in range(400)]
        services = [tracking(database, clock) for _ in range(8)]

        async def write(service: Any, seed: int) -> int:
            mine, accepted = random.Random(seed), 0
            for _ in range(6):
                accepted += (await send(service, *(row(name) for name in mine.sample(names, 150)))).accepted
            return accepted

        accepted = await asyncio.gather(*(write(service, seed) for seed, service in enumerate(services)))
        assert sum(accepted) == await rows_of(database, "prediction")
        assert (await totals(database, facts)).n.tolist() == [sum(accepted)]
        await agree(database, facts)

    async def test_an_offender_in_a_group_does_not_touch_its_neighbours(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, *(row(f"old{number}") for number in range(5)))
        sent = [send(service, row(f"new{number}")) for number in range(40)]
        sent += [send(service, row(f"old{number}")) for number in range(5)]
        sent += [send(service, row(f"old{number}", score=0.1)) for number in range(5)]
        answers = await asyncio.gather(*sent)
        assert [answer.accepted for answer in answers] == [1] * 40 + [0] * 10
        assert [answer.duplicates for answer in answers[40:45]] == [1] * 5
        assert all(len(answer.conflicts) == 1 and answer.conflicts[0].row == 0 for answer in answers[45:])
        await agree(database, facts)


class TestTasks:
    async def test_multiclass_keeps_its_probabilities(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database, task="multiclass")
        service = tracking(database, clock)
        scores = {"cat": 0.2, "dog": 0.5, "owl": 0.3}
        rows = [{"prediction_id": f"a{number}", "scores": scores} for number in range(3)]
        rows.append({"prediction_id": "b", "predicted": "owl"})
        await send(service, *rows)
        await label(service, *({"prediction_id": f"a{number}", "actual": "owl"} for number in range(3)))
        await label(service, {"prediction_id": "b", "actual": "owl"})
        assert (await service.prediction("m1", "a0")).scores == scores
        assert (await service.prediction("m1", "b")).scores is None
        found = await totals(database, facts)
        assert found.confusion[0].tolist() == [[0, 0, 0], [0, 0, 0], [0, 3, 1]]
        assert found.scored.tolist() == [3]
        await agree(database, facts)

    @pytest.mark.parametrize("change", ["version", "threshold", "champion"])
    async def test_what_was_left_out_may_stand_for_something_else_by_now(
        self, database: Database, clock: FrozenClock, change: str
    ) -> None:
        await make_model(database, versions=("1", "2"), champion="1")
        rows = [row("a"), row("b", predicted="1"), row("c", version="1"), row("d", segment={"channel": "web"})]
        assert (await send(tracking(database, clock), *rows)).accepted == 4
        async with database.transaction() as connection:
            await connection.execute(
                {
                    "version": "delete from model_alias",
                    "threshold": "update model set threshold = 0.9",
                    "champion": "update model_alias set version_no = (select max(id) from model_version)",
                }[change]
            )
        later = tracking(database, clock)
        answer = await send(later, *rows)
        assert (answer.duplicates, answer.conflicts) == (4, [])
        assert (await send(later, row("e"))).accepted == 1
        seen = [await later.prediction("m1", name) for name in ("a", "e")]
        assert [(found.version, found.predicted) for found in seen] == [
            ("1", "1"),
            ("1" if change == "threshold" else "2", "0" if change == "threshold" else "1"),
        ]

    async def test_what_is_named_now_and_was_left_out_then_is_another_content(
        self, database: Database, clock: FrozenClock
    ) -> None:
        await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"))
        for other in (row("a", version="1"), row("a", predicted="1")):
            assert len((await send(service, other)).conflicts) == 1

    async def test_a_class_that_the_model_learns_changes_no_earlier_content(
        self, database: Database, clock: FrozenClock
    ) -> None:
        await make_model(database, task="multiclass", allow_new_classes=True)
        service = tracking(database, clock)
        old = {"prediction_id": "a", "scores": {"cat": 0.25, "dog": 0.5, "owl": 0.25}}
        await send(service, old)
        new = {"prediction_id": "b", "scores": {"cat": 0.25, "dog": 0.25, "owl": 0.25, "emu": 0.25}, "predicted": "emu"}
        assert (await send(service, new)).accepted == 1
        assert (await send(service, old, new)).duplicates == 2
        assert (await service.prediction("m1", "b")).predicted == "emu"

    @pytest.mark.parametrize(
        ("first", "others", "why"),
        [
            (12.5, [1e6, 1e-3, 1e12], "later values are larger and smaller"),
            (1e-9, [3.0, 4.0, 5.0], "a first value next to nothing"),
            (1e15, [1.5, 2.5], "a first value that is absurd"),
            (1e9, [1e9 + 1, 1e9 - 2, 1e9 + 3], "a mean far above the spread"),
        ],
    )
    async def test_no_first_value_of_a_regression_spoils_the_later_ones(
        self, database: Database, clock: FrozenClock, first: float, others: list[float], why: str
    ) -> None:
        facts = await make_model(database, task="regression")
        service = tracking(database, clock)
        await label(service, {"prediction_id": "nobody", "actual": first})
        await send(service, {"prediction_id": "first", "predicted": first})
        clock.advance(seconds=3600)
        actual = np.array(others)
        predicted = actual * 1.5
        rows = [{"prediction_id": f"a{number}", "predicted": value} for number, value in enumerate(predicted.tolist())]
        assert (await send(service, *rows)).accepted == len(others)
        await label(service, *({"prediction_id": f"a{number}", "actual": value} for number, value in enumerate(others)))
        found = await totals(database, facts)
        for name, expected in (
            ("mae", mean_absolute_error(actual, predicted)),
            ("mse", mean_squared_error(actual, predicted)),
            ("r2", r2_score(actual, predicted)),
        ):
            assert estimate(found, name).value[0] == pytest.approx(expected, rel=1e-9), (name, why)
        await agree(database, facts)

    async def test_a_positive_class_that_comes_first_is_still_the_positive_one(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database, classes=("bad", "good"), positive=0)
        service = tracking(database, clock)
        await send(service, {"prediction_id": "a", "score": 0.9})
        assert (await service.prediction("m1", "a")).predicted == "bad"
        assert facts.shape.positive == 0


class TestImports:
    async def test_are_known_at_their_own_timestamp(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        days = [NOW - day * DAY for day in (30, 20, 10)]
        rows = [row(f"a{number}", timestamp=rfc3339(day)) for number, day in enumerate(days)]
        await send(service, *rows, **{"import": True})
        await send(service, row("now"))
        for known, n in ((days[0], 1), (days[1], 2), (days[2] + HOUR, 3), (NOW, 4)):
            assert (await totals(database, facts, known)).n.tolist() == [n]
        assert (await service.prediction("m1", "a1")).known_at == rfc3339(days[1])
        async with database.transaction() as connection:
            assert await connection.fetch("select kind from delta order by xid") == [(2,), (0,)]
            known = await connection.fetchrow("select known_from, known_to from block order by block_id limit 1")
        assert [from_datetime(moment) for moment in known] == [days[0], days[2]]
        await agree(database, facts)

    async def test_need_a_timestamp(self, database: Database, clock: FrozenClock) -> None:
        await make_model(database)
        with pytest.raises(InvalidRequest):
            await send(tracking(database, clock), row("a"), **{"import": True})

    async def test_count_by_their_cells_in_any_mixture(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        rows = [row(f"a{number}", timestamp=rfc3339(NOW - number * HOUR)) for number in range(50)]
        await asyncio.gather(
            send(service, *rows[:30], **{"import": True}),
            send(service, *rows[20:]),
            send(service, *rows[10:40], **{"import": True}),
        )
        assert (await totals(database, facts)).n.tolist() == [50]
        await agree(database, facts)


class TestSubjects:
    async def test_only_their_hash_is_kept(self, database: Database, clock: FrozenClock) -> None:
        await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a", subject="jo"), row("b"), row("c", subject="jo"), row("d", subject="al"))
        await send(service, row("a", subject="jo"), row("e", subject="jo"))
        async with database.transaction() as connection:
            found = await connection.fetch("select subject, count(*) as n from subject group by 1 order by 2")
        assert [record["n"] for record in found] == [1, 3]
        assert all(b"jo" not in record["subject"] for record in found)


async def test_the_sum_of_nothing_is_empty(database: Database) -> None:
    facts = await make_model(database)
    assert len(await counted(database, facts)) == 0
