"""`GET /analytics/dashboard/data`: what the page draws, in one answer."""

import httpx
import numpy as np
import pytest
from pydantic import TypeAdapter

from app.analytics.answers import Board
from app.core.clock import DAY, HOUR, SECOND, FrozenClock, rfc3339
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.tracking.repository import reads
from tests.support.models import make_model
from tests.support.tracked import track

WEB = "channel:web"


async def ask(client: httpx.AsyncClient, **query: object) -> dict:
    answer = await client.get("/analytics/dashboard/data", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def facts(database: Database, clock: FrozenClock) -> ModelFacts:
    """60 days of 40 predictions, two in three of them by web; labels take a day."""
    facts = await make_model(database, "late", versions=("1",))
    at = clock.now_us() - np.arange(2400) * (60 * DAY // 2400)
    score = np.linspace(0, 1, 2400)
    await track(
        database,
        clock,
        facts,
        predicted_at=at,
        predicted=(score >= 0.5).astype(int),
        score=score,
        actual=(score >= 0.4).astype(float),
        known_at=at + DAY,
        segments=({"channel": "web"}, {"channel": "app"}),
        segment=(np.arange(2400) % 3 == 2).astype(int),
    )
    return facts


class TestBoard:
    async def test_of_nobody_is_empty(self, admin: httpx.AsyncClient) -> None:
        found = await ask(admin)
        assert (found["models"], found["panel"]) == ([], None)

    async def test_shows_the_busiest_model_until_one_is_chosen(
        self, admin: httpx.AsyncClient, facts: ModelFacts, database: Database
    ) -> None:
        await make_model(database, "a-young-one")
        found = await ask(admin)
        TypeAdapter(Board).validate_python(found)
        assert [model["model_id"] for model in found["models"]] == ["a-young-one", "late"]
        assert found["panel"]["model_id"] == "late"
        young = await ask(admin, model="a-young-one")
        assert young["panel"]["columns"]["x"] == []

    async def test_columns_are_evenly_spaced_and_sum_to_the_headline(
        self, admin: httpx.AsyncClient, facts: ModelFacts
    ) -> None:
        panel = (await ask(admin))["panel"]
        columns = panel["columns"]
        assert panel["interval"] == "day"
        assert len(columns["x"]) == 61  # 60 days from noon to noon
        assert set(np.diff(columns["x"])) == {DAY // SECOND}
        assert sum(columns["labelled"]) == panel["overall"]["labelled"] == 2360
        assert (columns["maturity"][0], columns["maturity"][-1]) == (2, 0)

    async def test_slices_come_with_their_intervals_the_largest_first(
        self, admin: httpx.AsyncClient, facts: ModelFacts
    ) -> None:
        panel = (await ask(admin))["panel"]
        assert [(part["name"], part["n"]) for part in panel["segments"]] == [
            ("channel:web", 1600),
            ("channel:app", 800),
        ]
        assert [part["name"] for part in panel["versions"]] == ["1"]
        assert all(part["ci_low"] < part["value"] < part["ci_high"] for part in panel["segments"])

    @pytest.mark.parametrize("back", [None, 3 * DAY, 20 * DAY - HOUR // 3])
    @pytest.mark.parametrize(
        "query", [{"range": "all"}, {"range": "24h"}, {"interval": "minute"}, {"metric": "roc_auc"}, {"segment": WEB}]
    )
    async def test_slices_are_what_a_trend_of_each_says(
        self, admin: httpx.AsyncClient, facts: ModelFacts, clock: FrozenClock, query: dict[str, str], back: int | None
    ) -> None:
        if back is not None:
            query = query | {"as_of": rfc3339(clock.now_us() - back)}
        panel = (await ask(admin, **query))["panel"]
        asked = {name: value for name, value in query.items() if name in ("metric", "as_of")}
        if panel["columns"]["x"]:
            asked["from"] = rfc3339(panel["columns"]["x"][0] * SECOND)
        for kind in ("segment", "version"):
            whole = {"segment": query["segment"]} if kind == "version" and "segment" in query else {}
            for part in panel[f"{kind}s"]:
                answer = await admin.get(
                    "/analytics/trends/late",
                    params=asked | whole | {"interval": panel["interval"], kind: part["name"]},
                )
                overall = answer.json()["overall"]
                names = ("n", "labelled", "value", "ci_low", "ci_high")
                assert {name: part[name] for name in names} == {name: overall[name] for name in names}
        assert bool(panel["segments"]) == bool(panel["versions"]) == bool(panel["columns"]["x"])

    async def test_slices_take_one_question_however_many_and_are_the_largest(
        self,
        admin: httpx.AsyncClient,
        facts: ModelFacts,
        database: Database,
        clock: FrozenClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        shops = [{"shop": f"{number:02}"} for number in range(30)]
        place = np.repeat(np.arange(30), np.arange(1, 31))  # the last shop has most rows
        ones, at = np.ones(len(place)), np.full(len(place), clock.now_us() - 2 * DAY)
        await track(
            database,
            clock,
            facts,
            predicted_at=at,
            predicted=ones.astype(int),
            score=ones,
            actual=ones,
            known_at=at,
            segments=shops,
            segment=place,
        )
        asked: list[str] = []
        for name in ("now", "sliced"):
            question = getattr(reads, name)
            monkeypatch.setattr(
                reads, name, lambda *a, name=name, question=question, **k: asked.append(name) or question(*a, **k)
            )
        panel = (await ask(admin))["panel"]
        assert sorted(asked) == ["now"] * 4 + ["sliced"] * 2  # days, points, delays of young and old; both sides
        names = [part["name"] for part in panel["segments"]]
        assert names[:4] == ["channel:web", "channel:app", "shop:29", "shop:28"]
        assert len(names) == 24

    @pytest.mark.parametrize(
        ("query", "interval", "points"),
        [
            ({"range": "24h"}, "hour", 25),  # short: hours
            ({"range": "7d"}, "hour", 169),  # days would be too few to show anything
            ({"range": "30d"}, "day", 31),  # few rows an hour: days
            ({"range": "all", "interval": "hour"}, "hour", 1441),  # as asked
        ],
    )
    async def test_the_interval_follows_the_range(
        self, admin: httpx.AsyncClient, facts: ModelFacts, query: dict[str, str], interval: str, points: int
    ) -> None:
        panel = (await ask(admin, **query))["panel"]
        assert (panel["interval"], len(panel["columns"]["x"])) == (interval, points)

    async def test_goes_back_in_time(self, admin: httpx.AsyncClient, facts: ModelFacts, clock: FrozenClock) -> None:
        moment = clock.now_us() - 20 * DAY - 1  # the last moment of an hour; the row on the hour is not known yet
        found = await ask(admin, as_of=rfc3339(moment))
        assert found["as_of"] == rfc3339(moment // SECOND * SECOND)
        assert found["panel"]["overall"]["n"] == 1599
        assert sum(part["n"] for part in found["panel"]["segments"]) == 1599

    async def test_since_leaves_out_what_the_client_has(
        self, admin: httpx.AsyncClient, facts: ModelFacts, clock: FrozenClock
    ) -> None:
        whole = (await ask(admin))["panel"]
        part = (await ask(admin, since=rfc3339(clock.now_us() - 3 * DAY)))["panel"]
        assert part["columns"]["x"] == whole["columns"]["x"][-3:]
        assert part["overall"] == whole["overall"]

    async def test_answers_304_while_nothing_changed(
        self, admin: httpx.AsyncClient, facts: ModelFacts, clock: FrozenClock
    ) -> None:
        known = {"If-None-Match": (await admin.get("/analytics/dashboard/data")).headers["etag"]}
        clock.advance(seconds=2)
        assert (await admin.get("/analytics/dashboard/data", headers=known)).status_code == 304
