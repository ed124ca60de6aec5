"""The shortest road stores what the others store, in the database's own minute or not at all."""

from typing import Any

import pytest

from app.core.clock import MINUTE, FrozenClock, SystemClock, from_datetime
from app.db.engine import Database
from app.stats.tally import Task
from app.tracking.arrival import first_block
from app.tracking.schemas import PredictionsStored
from app.tracking.storing.at_once import ROWS, AtOnce
from app.tracking.storing.predictions import PredictionStore
from tests.support.models import make_model
from tests.support.tracking import agree, label, rows_of, send, tracking

STORED = "key, content, predicted_at, score, context_id, predicted, scores"


class Fast(SystemClock):
    """Stands in another minute than the database's."""

    def now_us(self) -> int:
        return super().now_us() + MINUTE


@pytest.fixture
def roads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each transaction went."""
    taken: list[str] = []
    at_once, copied = AtOnce.store, PredictionStore._copied

    async def stored(self: AtOnce, prepared: Any) -> bool:
        answer = await at_once(self, prepared)
        taken.append("at once" if answer else "refused")
        return answer

    async def copying(self: PredictionStore, prepared: Any) -> None:
        taken.append("copied")
        await copied(self, prepared)

    monkeypatch.setattr(AtOnce, "store", stored)
    monkeypatch.setattr(PredictionStore, "_copied", copying)
    return taken


def rows(n: int, start: int = 0) -> list[dict[str, Any]]:
    """Ids of several lengths (so in another order than their keys), half of them with a segment."""
    return [
        {
            "prediction_id": f"{'x' * (number % 3)}{number}",
            "score": number % 11 / 10,
            "timestamp": "2026-11-01T10:00:00.000007Z",
            "features": {"amount": number / 7},
            **({"segment": {"channel": "web"}} if number % 2 else {}),
        }
        for number in range(start, start + n)
    ]


async def fetch(database: Database, query: str) -> list[tuple[Any, ...]]:
    async with database.transaction() as connection:
        return [tuple(row) for row in await connection.fetch(query)]


class TestAtOnce:
    async def test_small_groups_go_by_it(self, database: Database, roads: list[str]) -> None:
        facts = await make_model(database)
        service = tracking(database, SystemClock())
        assert await send(service, *rows(40)) == PredictionsStored(accepted=40)
        await send(service, *rows(ROWS + 1, start=40))
        assert roads == ["at once", "copied"]
        await agree(database, facts)

    async def test_it_stores_what_copying_stores(self, database: Database, roads: list[str]) -> None:
        await make_model(database, "m1")
        await make_model(database, "m2")
        service = tracking(database, SystemClock())
        await send(service, *rows(100))
        await send(tracking(database, FrozenClock(SystemClock().now_us())), *rows(100), model="m2")
        assert roads == ["at once", "copied"]
        found = await fetch(database, f"select {STORED} from prediction order by place")
        columns = [[row[1:4] + row[5:] for row in found[low : low + 100]] for low in (0, 100)]
        assert columns[0] == columns[1]
        assert [row[0][4:] for row in found[:100]] == [row[0][4:] for row in found[100:]]  # past the model's number
        (one, other) = await fetch(database, "select n, format from block order by block_id")
        assert one == other

    @pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION])
    async def test_of_every_task(self, database: Database, roads: list[str], task: Task) -> None:
        facts = await make_model(database, task=task)
        regression = task is Task.REGRESSION
        output = (
            {"predicted": 2.5} if regression else {"scores": {name: 1 / len(facts.classes) for name in facts.classes}}
        )
        await send(tracking(database, SystemClock()), *({"prediction_id": f"p{i}", **output} for i in range(5)))
        assert roads == ["at once"]
        await agree(database, facts)

    async def test_a_place_is_that_of_its_arrival(self, database: Database) -> None:
        await make_model(database)
        await send(tracking(database, SystemClock()), *rows(3))
        ((block_id, known_from, known_to),) = await fetch(database, "select block_id, known_from, known_to from block")
        assert known_from == known_to
        sequence = (await fetch(database, "select last_value from block_seq"))[0][0]
        assert block_id == first_block(from_datetime(known_from)) | sequence % (1 << 16)
        places = await fetch(database, "select place from prediction order by place")
        assert places == [((block_id << 16) + number,) for number in range(3)]

    async def test_another_minute_is_copied_and_learnt_from(self, database: Database, roads: list[str]) -> None:
        facts = await make_model(database)
        service = tracking(database, Fast())
        assert await send(service, *rows(2)) == PredictionsStored(accepted=2)
        assert roads[:2] == ["refused", "copied"]
        for start in range(2, 6, 2):  # whether or not a minute ends between them
            await send(service, *rows(2, start=start))
        assert "at once" in roads
        await agree(database, facts)

    async def test_tells_repeats_and_conflicts(self, database: Database, roads: list[str]) -> None:
        facts = await make_model(database)
        service = tracking(database, SystemClock())
        await label(service, {"prediction_id": "late", "actual": "1"})
        await send(service, *rows(2))
        answer = await send(service, *rows(1), {**rows(2)[1], "score": 0.99}, {"prediction_id": "late", "score": 0.5})
        assert (answer.accepted, answer.duplicates, answer.joined_labels) == (1, 1, 1)
        assert [conflict.prediction_id for conflict in answer.conflicts] == ["x1"]
        assert await rows_of(database, "block") == 2
        await agree(database, facts)

    async def test_goes_by_itself_where_rows_were_erased(self, database: Database, roads: list[str]) -> None:
        facts = await make_model(database)
        async with database.transaction() as connection:
            await connection.execute("insert into erased values ($1, 'another', 0)", facts.id)
        service = tracking(database, SystemClock())
        for start in (0, 2):
            assert await send(service, *rows(2, start=start)) == PredictionsStored(accepted=2)
        assert roads == ["refused", "copied", "copied"]
        assert await rows_of(database, "prediction") == 4
        await agree(database, facts)
