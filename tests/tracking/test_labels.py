"""Labels: any time, any order, each counted once; corrections keep their history."""

import asyncio
import itertools
import random
from typing import Any

import pytest

from app.core.clock import DAY, HOUR, MINUTE, FrozenClock, from_datetime, rfc3339
from app.core.errors import InvalidRequest
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.tracking.schemas import LabelsStored, PredictionsStored
from app.tracking.service import TrackingService
from tests.support.models import make_model
from tests.support.times import NOON
from tests.support.tracking import agree, label, rows_of, send, totals, tracking

NOW = from_datetime(NOON)
IMPORT: dict[str, Any] = {"import": True}


def row(name: str, **fields: Any) -> dict[str, Any]:
    return {"prediction_id": name, "score": 0.7, **fields}


def said(name: str, actual: Any = "1", **fields: Any) -> dict[str, Any]:
    return {"prediction_id": name, "actual": actual, **fields}


async def confusion(database: Database, facts: ModelFacts, until_us: int | None = None) -> list[list[int]]:
    """[[tn, fp], [fn, tp]]"""
    found: list[list[int]] = (await totals(database, facts, until_us)).confusion[0].tolist()
    return found


async def actuals(service: TrackingService, name: str) -> list[Any]:
    return [line.actual for line in (await service.prediction("m1", name)).labels]


class TestOfPredictionsThatAreThere:
    async def test_are_joined_and_counted_in_the_cell_of_their_prediction(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, *(row(f"a{number}") for number in range(4)))
        clock.advance(seconds=7200)
        answer = await label(service, said("a0"), said("a1", "0"), said("a3", 1))
        assert answer == LabelsStored(accepted=3, joined=3)
        assert await confusion(database, facts) == [[0, 1], [0, 2]]
        found = await totals(database, facts)
        assert (found.n.tolist(), found.labelled.tolist()) == ([4], [3])
        assert found.delays.sum() == 3
        await agree(database, facts)

    async def test_are_shown_with_all_their_times(self, database: Database, clock: FrozenClock) -> None:
        await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"))
        clock.advance(seconds=60)
        await label(service, said("a", timestamp="2026-03-02T11:30:00Z"))
        (line,) = (await service.prediction("m1", "a")).labels
        assert (line.timestamp, line.arrived_at, line.known_at, line.correction) == (
            "2026-03-02T11:30:00Z",
            "2026-03-02T12:01:00Z",
            "2026-03-02T12:01:00Z",
            False,
        )

    async def test_the_same_again_is_a_duplicate_and_another_value_a_conflict(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"), row("b"), row("c"))
        await label(service, said("a"), said("b"))
        answer = await label(service, said("a", timestamp="2026-03-02T10:00:00Z"), said("b", "0"), said("c"))
        assert (answer.accepted, answer.joined, answer.duplicates) == (1, 1, 1)
        assert [(conflict.row, conflict.prediction_id) for conflict in answer.conflicts] == [(1, "b")]
        assert await confusion(database, facts) == [[0, 0], [0, 3]]
        await agree(database, facts)

    async def test_within_a_request_the_first_row_wins(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"), row("b"))
        answer = await label(service, said("a"), said("a", "0"), said("b"), said("a"))
        assert (answer.accepted, answer.duplicates, [c.row for c in answer.conflicts]) == (2, 1, [1])
        await agree(database, facts)

    async def test_a_bad_row_keeps_all_out(self, database: Database, clock: FrozenClock) -> None:
        await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"))
        with pytest.raises(InvalidRequest):
            await label(service, said("a"), said("b", "maybe"))
        assert await rows_of(database, "label") == 0
        assert await rows_of(database, "label_waiting") == 0

    async def test_a_client_that_repeats_for_ever_is_answered_as_well(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, *(row(f"a{number}") for number in range(15)))
        for number in range(15):
            answer = await label(service, *(said(f"a{i}") for i in range(number + 1)))
            assert (answer.accepted, answer.duplicates) == (1, number)
        await agree(database, facts)


class TestCorrections:
    async def test_take_the_old_value_back(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"))
        await label(service, said("a", "0"))
        clock.advance(seconds=HOUR // 1_000_000)
        answer = await label(service, said("a", "1", correction=True))
        assert answer == LabelsStored(accepted=1, joined=1, corrected=1)
        assert await confusion(database, facts) == [[0, 0], [0, 1]]
        assert await confusion(database, facts, NOW) == [[0, 1], [0, 0]], "what was known before stays known"
        assert await actuals(service, "a") == ["0", "1"]
        await agree(database, facts)

    @pytest.mark.parametrize(
        ("rows", "answer", "history"),
        [
            pytest.param([said("a", "1", correction=True)], {"duplicates": 1}, ["1"], id="the same value again"),
            pytest.param([said("a", "0")], {"conflicts": 1}, ["1"], id="another value without the flag"),
            pytest.param(
                [said("a", "0", correction=True), said("a", "1", correction=True)],
                {"accepted": 2, "joined": 2, "corrected": 2},
                ["1", "0", "1"],
                id="there and back within a request",
            ),
            pytest.param(
                [said("a", "0", correction=True), said("a", "0", correction=True)],
                {"accepted": 1, "joined": 1, "corrected": 1, "duplicates": 1},
                ["1", "0"],
                id="twice the same",
            ),
            pytest.param(
                [said("a", "0", correction=True), said("a", "0")],
                {"accepted": 1, "joined": 1, "corrected": 1, "duplicates": 1},
                ["1", "0"],
                id="an ordinary row that says what now stands",
            ),
        ],
    )
    async def test_cases(
        self,
        database: Database,
        clock: FrozenClock,
        rows: list[dict[str, Any]],
        answer: dict[str, int],
        history: list[str],
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"))
        await label(service, said("a", "1"))
        found = await label(service, *rows)
        counts = {name: getattr(found, name) for name in ("accepted", "joined", "corrected", "duplicates")}
        expected = dict.fromkeys(counts, 0) | {"conflicts": 0} | answer
        assert counts | {"conflicts": len(found.conflicts)} == expected
        assert await actuals(service, "a") == history
        await agree(database, facts)

    async def test_without_an_earlier_label_are_ordinary_labels(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"), row("b"))
        first, second = said("b", "0", correction=True), said("b", "1", correction=True)
        answer = await label(service, said("a", correction=True), first, second)
        assert answer == LabelsStored(accepted=3, joined=3, corrected=1)
        await agree(database, facts)

    async def test_out_of_order_the_latest_known_wins_and_the_past_is_right(
        self, database: Database, clock: FrozenClock
    ) -> None:
        """Every order of arrival of the same history ends in the same counts at every moment."""
        facts = await make_model(database)
        service = tracking(database, clock)
        moments = [NOW - (5 - step) * DAY for step in range(4)]
        values = ["0", "1", "0", "1"]
        draw = random.Random(3)
        for number in range(12):
            name = f"a{number}"
            await send(service, row(name, timestamp=rfc3339(NOW - 6 * DAY)), **IMPORT)
            steps = list(range(4))
            draw.shuffle(steps)
            for step in steps:
                sent = said(name, values[step], timestamp=rfc3339(moments[step]), correction=True)
                await label(service, sent, **IMPORT)
            assert (await actuals(service, name))[-1] == values[max(steps)]
        await agree(database, facts)
        assert await confusion(database, facts) == [[0, 0], [0, 12]]

    async def test_an_older_one_changes_only_its_own_time(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a", timestamp=rfc3339(NOW - 9 * DAY)), **IMPORT)
        for day, value, corrected in ((8, "0", 0), (2, "0", 0), (4, "1", 1), (2, "0", 0), (4, "1", 0)):
            sent = said("a", value, timestamp=rfc3339(NOW - day * DAY), correction=True)
            assert (await label(service, sent, **IMPORT)).corrected == corrected
        assert await actuals(service, "a") == ["0", "1", "0"], "what was said on day 2 still holds"
        right, wrong = [[0, 0], [0, 1]], [[0, 1], [0, 0]]
        for day, expected in ((8, wrong), (5, wrong), (4, right), (3, right), (2, wrong), (0, wrong)):
            assert await confusion(database, facts, NOW - day * DAY) == expected, day
        await agree(database, facts)

    async def test_by_several_at_once_all_enter_one_history(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        services = [tracking(database, clock) for _ in range(4)]
        await send(services[0], row("a"))
        await label(services[0], said("a", "0"))
        answers = await asyncio.gather(
            *(label(services[n % 4], said("a", str(n % 2), correction=True)) for n in range(12))
        )
        history = await actuals(services[0], "a")
        assert len(history) == 1 + sum(answer.corrected for answer in answers)
        assert all(before != after for before, after in itertools.pairwise(history))
        await agree(database, facts)


class TestWaiting:
    async def test_a_label_waits_and_is_joined_when_its_prediction_comes(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        assert await label(service, said("a"), said("b", "0")) == LabelsStored(accepted=2, waiting=2)
        waiting = (await service.prediction("m1", "a")).waiting
        assert waiting is not None
        assert waiting.actual == "1"
        assert len(await totals_entries(database, facts)) == 0
        clock.advance(seconds=600)
        answer = await send(service, row("a"), row("c"))
        assert answer == PredictionsStored(accepted=2, joined_labels=1)
        assert await confusion(database, facts) == [[0, 0], [0, 1]]
        assert await confusion(database, facts, NOW + 9 * MINUTE) == [[0, 0], [0, 0]]
        assert await rows_of(database, "label_waiting") == 1
        (line,) = (await service.prediction("m1", "a")).labels
        assert (line.arrived_at, line.known_at) == ("2026-03-02T12:00:00Z", "2026-03-02T12:10:00Z")
        await agree(database, facts)

    async def test_a_second_one_is_a_duplicate_a_conflict_or_a_correction(
        self, database: Database, clock: FrozenClock
    ) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await label(service, said("a"), said("b"), said("c"))
        answer = await label(service, said("a"), said("b", "0"), said("c", "0", correction=True), said("d"))
        assert (answer.accepted, answer.waiting, answer.corrected) == (2, 2, 1)
        assert (answer.duplicates, [conflict.row for conflict in answer.conflicts]) == (1, [1])
        answers = await send(service, *(row(name) for name in "abcd"))
        assert answers.joined_labels == 4
        assert [await actuals(service, name) for name in "abcd"] == [["1"], ["1"], ["0"], ["1"]]
        assert await confusion(database, facts) == [[0, 1], [0, 3]]
        await agree(database, facts)

    async def test_waiting_and_joined_ones_share_a_request(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await send(service, row("a"), row("c"))
        answer = await label(service, said("a"), said("b"), said("c"), said("b"))
        assert answer == LabelsStored(accepted=3, joined=2, waiting=1, duplicates=1)
        await agree(database, facts)

    async def test_a_conflicting_prediction_joins_nothing_twice(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        service = tracking(database, clock)
        await label(service, said("a"))
        assert (await send(service, row("a"), row("a", score=0.1))).joined_labels == 1
        assert (await send(service, row("a"))).joined_labels == 0
        await agree(database, facts)

    async def test_for_a_multiclass_model(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database, task="multiclass")
        service = tracking(database, clock)
        await label(service, said("a", "owl"), said("b", "dog"))
        scores = {"cat": 0.2, "dog": 0.3, "owl": 0.5}
        await send(service, {"prediction_id": "a", "scores": scores}, {"prediction_id": "b", "predicted": "owl"})
        assert await confusion(database, facts) == [[0, 0, 0], [0, 0, 1], [0, 0, 1]]
        await agree(database, facts)

    async def test_one_that_is_older_than_retention_has_expired(self, database: Database, clock: FrozenClock) -> None:
        await make_model(database, retention_days=30)
        service = tracking(database, clock)
        answer = await label(
            service, said("a", timestamp=rfc3339(NOW - 31 * DAY)), said("b", timestamp=rfc3339(NOW - 29 * DAY))
        )
        assert answer == LabelsStored(accepted=1, waiting=1, expired=1)
        assert await rows_of(database, "prediction") == 1

    async def test_one_whose_prediction_is_there_may_have_a_timestamp_of_any_age(
        self, database: Database, clock: FrozenClock
    ) -> None:
        await make_model(database, retention_days=30)
        service = tracking(database, clock)
        await send(service, {"prediction_id": "a", "score": 0.5})
        answer = await label(service, said("a", timestamp="1999-12-31T00:00:00Z"))
        assert answer == LabelsStored(accepted=1, joined=1)


class TestAtOnce:
    @pytest.mark.parametrize("seed", range(4))
    async def test_a_prediction_and_its_label_never_miss_each_other(
        self, database: Database, clock: FrozenClock, seed: int
    ) -> None:
        """Two writers start together on the same ids, in random pieces: every label is joined exactly once."""
        facts = await make_model(database)
        draw = random.Random(seed)
        names = [f"a{number}" for number in range(300)]
        services = [tracking(database, clock) for _ in range(4)]

        async def predict(service: TrackingService, mine: list[str]) -> int:
            answer = await send(service, *(row(name) for name in mine))
            return answer.joined_labels

        async def tell(service: TrackingService, mine: list[str]) -> int:
            answer = await label(service, *(said(name) for name in mine))
            assert answer.accepted == len(mine)
            return answer.joined

        joined = 0
        while names:
            size = min(len(names), draw.choice([1, 2, 10, 40]))
            mine, names = names[:size], names[size:]
            shuffled = draw.sample(mine, size)
            both = [predict(services[0], mine[: size // 2]), predict(services[1], mine[size // 2 :])]
            both += [tell(services[2], shuffled[: size // 2]), tell(services[3], shuffled[size // 2 :])]
            both = [work for work, part in zip(both, _halves(mine, shuffled), strict=True) if part or work.close()]
            draw.shuffle(both)
            joined += sum(await asyncio.gather(*both))
        assert joined == 300
        assert await rows_of(database, "label_waiting") == 0
        assert await confusion(database, facts) == [[0, 0], [0, 300]]
        await agree(database, facts)

    async def test_fifty_with_the_same_labels(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        services = [tracking(database, clock) for _ in range(5)]
        names = [f"a{number}" for number in range(200)]
        await send(services[0], *(row(name) for name in names[:150]))
        answers = await asyncio.gather(*(label(services[n % 5], *(said(name) for name in names)) for n in range(50)))
        assert sum(answer.joined for answer in answers) == 150
        assert sum(answer.waiting for answer in answers) == 50
        assert sum(answer.duplicates for answer in answers) == 49 * 200
        await agree(database, facts)

    async def test_shuffled_overlapping_writers_of_both_kinds(self, database: Database, clock: FrozenClock) -> None:
        facts = await make_model(database)
        names = [f"{'x' * (number % 7)}{number}" for number in range(200)]
        services = [tracking(database, clock) for _ in range(8)]

        async def write(seed: int) -> None:
            draw = random.Random(seed)
            for _ in range(5):
                mine = draw.sample(names, 60)
                if seed % 2:
                    await send(services[seed], *(row(name) for name in mine))
                else:
                    fields = {"correction": True} if draw.random() < 0.5 else {}
                    await label(services[seed], *(said(name, str(draw.randrange(2)), **fields) for name in mine))

        await asyncio.gather(*(write(seed) for seed in range(8)))
        await send(services[0], *(row(name) for name in names))
        assert await rows_of(database, "label_waiting") == 0
        assert (await totals(database, facts)).n.tolist() == [200]
        await agree(database, facts)


def _halves(mine: list[str], shuffled: list[str]) -> list[list[str]]:
    half = len(mine) // 2
    return [mine[:half], mine[half:], shuffled[:half], shuffled[half:]]


async def totals_entries(database: Database, facts: ModelFacts) -> Any:
    return (await totals(database, facts)).sparse
