"""`GET /analytics/trends/{model_id}` against plain counts, scikit-learn and statsmodels."""

import tracemalloc
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.metrics import accuracy_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from app.analytics.answers import Trend
from app.core.clock import DAY, HOUR, MINUTE, FrozenClock, rfc3339
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.tracking.counting import count_label_rows
from app.tracking.ledger import pack
from app.tracking.repository import arrivals
from tests.support.models import make_model
from tests.support.tracked import track

HOURS = 30
ROWS = 6000


@dataclass(frozen=True, slots=True)
class Rows:
    """What was tracked; times in us."""

    at: np.ndarray
    score: np.ndarray
    actual: np.ndarray
    known_at: np.ndarray
    web: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        return (self.score >= 0.5).astype(np.int64)


@pytest.fixture
async def facts(database: Database) -> ModelFacts:
    return await make_model(database, "m1", versions=("1", "2"))


@pytest.fixture
async def rows(database: Database, clock: FrozenClock, facts: ModelFacts) -> Rows:
    """30 hours of predictions, whose labels take two hours; a tenth never gets one."""
    random = np.random.default_rng(1)
    at = clock.now_us() - (random.random(ROWS) * HOURS * HOUR).astype(np.int64)
    score = random.random(ROWS)
    actual = (random.random(ROWS) < score).astype(float)
    actual[random.random(ROWS) < 0.1] = np.nan
    made = Rows(at, score, actual, at + 2 * HOUR, random.integers(0, 2, ROWS))
    await track(
        database,
        clock,
        facts,
        predicted_at=made.at,
        predicted=made.predicted,
        score=made.score,
        actual=made.actual,
        known_at=made.known_at,
        version="1",
        segments=({"channel": "app"}, {"channel": "web"}),
        segment=made.web,
    )
    return made


async def ask(client: httpx.AsyncClient, model_id: str = "m1", status: int = 200, **query: object) -> dict:
    answer = await client.get(f"/analytics/trends/{model_id}", params={key.strip("_"): v for key, v in query.items()})
    assert answer.status_code == status, answer.text
    return answer.json()


class TestPoints:
    async def test_are_the_metric_of_each_bucket_with_its_interval(
        self, admin: httpx.AsyncClient, rows: Rows, clock: FrozenClock
    ) -> None:
        found = await ask(admin, metric="accuracy", interval="hour")
        TypeAdapter(Trend).validate_python(found)
        hour = rows.at // HOUR * HOUR
        assert [point["bucket"] for point in found["points"]] == [rfc3339(int(start)) for start in np.unique(hour)]
        for start, point in zip(np.unique(hour), found["points"], strict=True):
            mine = hour == start
            come = mine & ~np.isnan(rows.actual) & (rows.known_at <= clock.now_us())
            assert (point["n"], point["labelled"]) == (mine.sum(), come.sum())
            assert point["label_coverage"] == pytest.approx(come.sum() / mine.sum())
            assert point["estimated"] is None
            assert point["error_bound"] is None
            if not come.any():
                assert point["value"] is None
                continue
            right = rows.predicted[come] == rows.actual[come]
            assert point["value"] == pytest.approx(accuracy_score(rows.actual[come], rows.predicted[come]))
            method = "beta" if come.sum() < 200 else "wilson"
            expected = proportion_confint(right.sum(), come.sum(), 0.05, method)
            assert (point["ci_low"], point["ci_high"]) == pytest.approx(expected, abs=1e-9)

    async def test_with_scores_come_with_a_certified_bound(
        self, admin: httpx.AsyncClient, rows: Rows, clock: FrozenClock
    ) -> None:
        found = await ask(admin, metric="roc_auc", interval="day")
        come = ~np.isnan(rows.actual) & (rows.known_at <= clock.now_us())
        overall = found["overall"]
        exact = roc_auc_score(rows.actual[come], rows.score[come])
        assert abs(overall["value"] - exact) <= overall["error_bound"] < 0.005
        assert overall["ci_low"] < exact < overall["ci_high"]
        assert all(point["error_bound"] is not None for point in found["points"])

    async def test_mature_with_age(self, admin: httpx.AsyncClient, rows: Rows) -> None:
        states = [point["maturity"] for point in (await ask(admin, interval="hour"))["points"]]
        assert states[0] == "final"  # a day old, and labels take two hours
        assert states[-1] == "provisional"  # the hour under way has none yet
        order = ["final", "maturing", "provisional"]
        assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)

    async def test_of_a_version_or_a_segment_count_its_rows_alone(self, admin: httpx.AsyncClient, rows: Rows) -> None:
        web = await ask(admin, segment="channel:web")
        assert web["overall"]["n"] == rows.web.sum()
        assert (await ask(admin, version="2"))["overall"]["n"] == 0
        assert (await ask(admin, version="1", segment="channel:app"))["overall"]["n"] == (rows.web == 0).sum()


class TestOverall:
    async def test_sums_all_points_and_its_anytime_interval_is_the_wider(
        self, admin: httpx.AsyncClient, rows: Rows
    ) -> None:
        found = await ask(admin)
        overall = found["overall"]
        assert overall["labelled"] == sum(point["labelled"] for point in found["points"])
        assert overall["anytime_low"] < overall["ci_low"] < overall["value"]
        assert overall["value"] < overall["ci_high"] < overall["anytime_high"]
        assert (overall["method"], overall["anytime_method"]) == ("wilson", "beta-mixture")

    async def test_says_once_what_its_intervals_hold_for(self, admin: httpx.AsyncClient, rows: Rows) -> None:
        meta = (await ask(admin))["meta"]
        assert "bands of points are fixed-n" in meta["validity"]
        assert meta["assumption"] == "labels are independent draws"

    async def test_of_a_model_without_rows_says_so(self, admin: httpx.AsyncClient, facts: ModelFacts) -> None:
        found = await ask(admin)
        assert found["points"] == []
        assert found["overall"]["value"] is None
        assert found["overall"]["label_coverage"] is None


class TestWindow:
    async def test_takes_whole_buckets_from_the_first_to_before_the_end(
        self, admin: httpx.AsyncClient, rows: Rows, clock: FrozenClock
    ) -> None:
        now = clock.now_us()
        found = await ask(admin, from_=rfc3339(now - 5 * HOUR + MINUTE), to=rfc3339(now - 2 * HOUR))
        starts = [rfc3339(now - hours * HOUR) for hours in (5, 4, 3)]
        assert [point["bucket"] for point in found["points"]] == starts

    async def test_leaves_out_empty_buckets_unless_told_to_fill(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, facts: ModelFacts
    ) -> None:
        at = np.array([clock.now_us() - 7 * HOUR, clock.now_us() - HOUR])
        await track_plain(database, clock, facts, at)
        assert [point["n"] for point in (await ask(admin))["points"]] == [1, 1]
        filled = (await ask(admin, fill=True))["points"]
        assert [point["n"] for point in filled] == [1, 0, 0, 0, 0, 0, 1]
        assert filled[1]["value"] is None

    async def test_of_too_many_points_names_the_coarser_interval(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, facts: ModelFacts
    ) -> None:
        await track_plain(database, clock, facts, np.array([clock.now_us() - 100 * DAY, clock.now_us() - HOUR]))
        problem = await ask(admin, status=422, interval="hour", fill=True)  # 2,400 hours
        assert (problem["interval"], problem["errors"][0]["pointer"]) == ("day", "/query/interval")
        assert "interval=day" in problem["detail"]
        await track_plain(database, clock, facts, np.array([clock.now_us() - 2100 * DAY]))
        problem = await ask(admin, status=422, interval="day", fill=True)  # days are the coarsest
        assert problem["interval"] is None
        assert "a narrower from and to" in problem["detail"]

    async def test_of_no_interval_are_hours_as_long_as_they_fit(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, facts: ModelFacts
    ) -> None:
        await track_plain(database, clock, facts, np.array([clock.now_us() - 50 * DAY, clock.now_us() - HOUR]))
        assert (await ask(admin, fill=True))["interval"] == "hour"  # 1,200
        await track_plain(database, clock, facts, np.array([clock.now_us() - 100 * DAY]))
        found = await ask(admin, fill=True)
        assert (found["interval"], found["overall"]["n"]) == ("day", 3)

    async def test_of_centuries_is_refused_without_going_through_them(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, facts: ModelFacts
    ) -> None:
        await track_plain(database, clock, facts, np.array([clock.now_us() - HOUR]))
        for asked, fits in CENTURIES:
            tracemalloc.start()
            problem = await ask(admin, status=422, fill=True, **asked)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert problem["type"] == "/problems/too-many-points"
            assert problem["interval"] == fits
            assert most < 2_000_000  # bytes; the hours of 260 years are 18 million

    async def test_of_minutes_without_a_start_is_the_latest_that_fit(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, facts: ModelFacts
    ) -> None:
        await track_plain(database, clock, facts, clock.now_us() - np.arange(2600) * MINUTE)
        for fill in (False, True):
            buckets = [point["bucket"] for point in (await ask(admin, interval="minute", fill=fill))["points"]]
            assert len(buckets) == 2000
            assert buckets[-1] == rfc3339(clock.now_us())
        until = clock.now_us() - 2 * HOUR
        buckets = [point["bucket"] for point in (await ask(admin, interval="minute", to=rfc3339(until)))["points"]]
        assert (len(buckets), buckets[-1]) == (2000, rfc3339(until - MINUTE))

    async def test_of_minutes_reaches_back_48_hours(
        self, admin: httpx.AsyncClient, rows: Rows, clock: FrozenClock
    ) -> None:
        found = await ask(admin, interval="minute", from_=rfc3339(clock.now_us() - 20 * HOUR))
        assert found["overall"]["n"] == (rows.at >= clock.now_us() - 20 * HOUR).sum()
        problem = await ask(admin, status=422, interval="minute", from_=rfc3339(clock.now_us() - 49 * HOUR))
        assert "interval=hour" in problem["detail"]
        problem = await ask(admin, status=422, interval="minute", to=rfc3339(clock.now_us() - 49 * HOUR))
        assert problem["errors"][0]["pointer"] == "/query/to"


CENTURIES: list[tuple[dict, str | None]] = [
    ({"interval": "hour", "from_": "1930-01-01T00:00:00Z", "to": "2190-01-01T00:00:00Z"}, None),
    ({"interval": "minute", "to": "2190-01-01T00:00:00Z"}, None),  # only the end is far
    ({"interval": "hour", "from_": "2023-01-01T00:00:00Z"}, "day"),  # the end is the newest row
]


async def track_plain(database: Database, clock: FrozenClock, facts: ModelFacts, at: np.ndarray) -> None:
    """Right predictions, labelled at once."""
    ones = np.ones(len(at))
    await track(
        database, clock, facts, predicted_at=at, predicted=ones.astype(int), score=ones, actual=ones, known_at=at
    )


REFUSED: list[tuple[dict, str, str]] = [
    ({"metric": "rmse"}, "/query/metric", "accuracy"),  # of another task
    ({"metric": "acuracy"}, "/query/metric", "accuracy"),  # misspelt
    ({"version": "9"}, "/query/version", "1, 2"),  # unknown version
    ({"from_": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "/query/from", "before"),  # upside down
    ({"from_": "2026-01-02T00:00:00"}, "/query/from", ""),  # no zone
    ({"from_": "0001-01-01T00:00:00Z"}, "/query/from", ""),  # before anybody's predictions
    ({"to": "9999-12-31T00:00:00Z"}, "/query/to", ""),  # after everybody's
    ({"interval": "week"}, "/query/interval", ""),  # no such interval
    ({"level": 1.5}, "/query/level", ""),  # not a level
    ({"metric": ["accuracy", "f1"]}, "/query/metric", "more than once"),  # which one is meant?
    ({"metrics": "accuracy"}, "/query/metrics", ""),  # no such parameter
]


class TestRefusals:
    async def test_name_the_place_and_the_mend(self, admin: httpx.AsyncClient, facts: ModelFacts) -> None:
        for query, pointer, named in REFUSED:
            problem = await ask(admin, status=422, **query)
            assert problem["errors"][0]["pointer"] == pointer
            assert named in problem["detail"]

    async def test_know_no_unknown_model_or_segment(self, admin: httpx.AsyncClient, rows: Rows) -> None:
        assert (await ask(admin, "nobody", status=404))["type"] == "/problems/model-not-found"
        assert (await ask(admin, status=422, segment="channel:fax"))["known"] == ["channel:app", "channel:web"]


class TestDelay:
    async def test_is_of_the_labels_that_have_come_by_now(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock, facts: ModelFacts
    ) -> None:
        """Asked before the labels come and again after, as of now and as of a moment that is still to come."""
        at = clock.now_us() - 5 * HOUR - np.arange(500) * MINUTE
        ones, none = np.ones(500), np.full(500, np.nan)
        rows = {"predicted_at": at, "predicted": ones.astype(int), "score": ones}
        later = rfc3339(clock.now_us() + DAY)
        await track(database, clock, facts, **rows, actual=none, known_at=at)
        for query in ({}, {"as_of": later}):
            found = await ask(admin, **query)
            assert (found["delay"]["median_s"], found["points"][-1]["maturity"]) == (None, "provisional")
        async with database.transaction() as connection:  # the labels of those rows, an hour after each
            arrival = await arrivals.arrive(connection, clock)
            context_id = await connection.fetchval("select max(context_id) from context")
            told = count_label_rows(
                facts.shape,
                context_id=np.full(500, context_id),
                scores=None,
                known_at=at + HOUR,
                actual=ones,
                **rows,
            )
            await arrivals.add_delta(connection, arrival, facts.id, kind=arrivals.IMPORTED, body=pack(told))
        clock.advance(seconds=1)
        for query in ({}, {"as_of": later}):
            found = await ask(admin, **query)
            assert found["overall"]["labelled"] == 500
            assert 3000 < found["delay"]["median_s"] < 4200
            assert {point["maturity"] for point in found["points"]} == {"final"}


class TestTheEtag:
    async def test_spares_the_work_until_something_changes(
        self,
        admin: httpx.AsyncClient,
        rows: Rows,
        database: Database,
        clock: FrozenClock,
        facts: ModelFacts,
    ) -> None:
        first = await admin.get("/analytics/trends/m1")
        known = {"If-None-Match": first.headers["etag"]}
        assert (await admin.get("/analytics/trends/m1", headers=known)).status_code == 304
        assert (await admin.get("/analytics/trends/m1?interval=day", headers=known)).status_code == 200
        await track_plain(database, clock, facts, np.array([clock.now_us()]))
        assert (await admin.get("/analytics/trends/m1", headers=known)).status_code == 200

    async def test_is_compared_weakly(self, admin: httpx.AsyncClient, rows: Rows) -> None:
        """A proxy may leave the `W/` out; `*` is whatever there is."""
        tag = (await admin.get("/analytics/trends/m1")).headers["etag"]
        for known, status in ((tag, 304), (tag.removeprefix("W/"), 304), ("*", 304), ('W/"another"', 200)):
            answer = await admin.get("/analytics/trends/m1", headers={"If-None-Match": known})
            assert (answer.status_code, answer.headers["etag"]) == (status, tag)

    async def test_ends_with_the_minute_because_buckets_mature(
        self, admin: httpx.AsyncClient, rows: Rows, clock: FrozenClock
    ) -> None:
        known = {"If-None-Match": (await admin.get("/analytics/trends/m1")).headers["etag"]}
        clock.advance(seconds=60)
        assert (await admin.get("/analytics/trends/m1", headers=known)).status_code == 200


class TestAsOf:
    async def test_tells_what_was_known_then(self, admin: httpx.AsyncClient, rows: Rows, clock: FrozenClock) -> None:
        moment = clock.now_us() - 10 * HOUR - 1  # the end of an hour: no row of the hour under way to be counted anew
        found = await ask(admin, as_of=rfc3339(moment))
        made = rows.at <= moment
        come = made & ~np.isnan(rows.actual) & (rows.known_at <= moment)
        assert found["as_of"] == rfc3339(moment)
        assert (found["overall"]["n"], found["overall"]["labelled"]) == (made.sum(), come.sum())
        assert found["overall"]["value"] == pytest.approx(accuracy_score(rows.actual[come], rows.predicted[come]))
        assert found["points"][-1]["maturity"] == "provisional"

    async def test_in_the_future_echoes_the_moment_that_it_answers(
        self, admin: httpx.AsyncClient, rows: Rows, clock: FrozenClock
    ) -> None:
        found = await ask(admin, as_of=rfc3339(clock.now_us() + DAY))
        assert found["as_of"] <= rfc3339(clock.now_us())
