"""`GET /analytics/performance/summary`: all models at a glance."""

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter
from sklearn.metrics import accuracy_score, f1_score, root_mean_squared_error
from statsmodels.stats.proportion import proportion_confint

from app.analytics.answers import Summary
from app.core.clock import DAY, HOUR, FrozenClock, rfc3339
from app.db.engine import Database
from tests.support.http import Identities, bearer, client_of
from tests.support.models import make_model
from tests.support.tracked import track

ROWS = 2000


@pytest.fixture
async def rows(database: Database, clock: FrozenClock) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(time, predicted, actual) of two binary models and a regression; a fourth model has no rows."""
    random = np.random.default_rng(2)
    tracked = {}
    for name in ("late", "churn"):
        facts = await make_model(database, name, versions=("1", "2"))
        at = clock.now_us() - (random.random(ROWS) * 3 * DAY).astype(np.int64)
        score = random.random(ROWS)
        actual = (random.random(ROWS) < score).astype(float)
        predicted = (score >= 0.5).astype(int)
        for version, part in (("1", slice(0, 500)), ("2", slice(500, ROWS))):
            await track(
                database,
                clock,
                facts,
                predicted_at=at[part],
                predicted=predicted[part],
                score=score[part],
                actual=actual[part],
                known_at=at[part],
                version=version,
            )
        tracked[name] = (at, predicted, actual)
    facts = await make_model(database, "minutes", task="regression")
    value = random.normal(30, 5, ROWS)
    actual = value + random.normal(0, 2, ROWS)
    at = clock.now_us() - (random.random(ROWS) * DAY).astype(np.int64)
    await track(database, clock, facts, predicted_at=at, predicted=value * 0, score=value, actual=actual, known_at=at)
    tracked["minutes"] = (at, value, actual)
    await make_model(database, "young")
    return tracked


async def ask(client: httpx.AsyncClient, **query: object) -> dict:
    answer = await client.get("/analytics/performance/summary", params={k.strip("_"): v for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestSummary:
    async def test_has_every_model_by_id_with_what_suits_its_task(
        self, admin: httpx.AsyncClient, rows: dict[str, tuple[np.ndarray, ...]]
    ) -> None:
        found = await ask(admin)
        TypeAdapter(Summary).validate_python(found)
        models = {model["model_id"]: model for model in found["models"]}
        assert list(models) == ["churn", "late", "minutes", "young"]
        for name in ("churn", "late"):
            _, predicted, actual = rows[name]
            metrics = models[name]["metrics"]
            assert set(metrics) == {"accuracy", "f1", "roc_auc"}
            accuracy = metrics["accuracy"]
            assert accuracy["value"] == pytest.approx(accuracy_score(actual, predicted))
            expected = proportion_confint((actual == predicted).sum(), ROWS, 0.05, "wilson")
            assert (accuracy["ci_low"], accuracy["ci_high"]) == pytest.approx(expected)
            assert accuracy["n"] == models[name]["labelled"] == ROWS
            assert metrics["f1"]["value"] == pytest.approx(f1_score(actual, predicted))
        _, predicted, actual = rows["minutes"]
        rmse = models["minutes"]["metrics"]["rmse"]["value"]
        assert rmse == pytest.approx(root_mean_squared_error(actual, predicted), rel=1e-6)
        assert models["young"]["n"] == 0
        assert models["young"]["metrics"]["accuracy"]["value"] is None

    async def test_can_be_cut_by_time_and_version_and_metric(
        self, admin: httpx.AsyncClient, rows: dict[str, tuple[np.ndarray, ...]], clock: FrozenClock
    ) -> None:
        start = clock.now_us() - 26 * HOUR
        recent = {m["model_id"]: m for m in (await ask(admin, metrics="mcc,mae", from_=rfc3339(start)))["models"]}
        assert recent["late"]["n"] == (rows["late"][0] >= start).sum()
        assert (set(recent["late"]["metrics"]), set(recent["minutes"]["metrics"])) == ({"mcc"}, {"mae"})
        lines = (await ask(admin, metrics="accuracy", by_version=True))["models"]
        counts = [(line["version"], line["n"]) for line in lines if line["model_id"] == "late"]
        assert counts == [("1", 500), ("2", 1500)]

    async def test_answers_304_while_nothing_changed(
        self, admin: httpx.AsyncClient, rows: dict[str, tuple[np.ndarray, ...]]
    ) -> None:
        first = await admin.get("/analytics/performance/summary")
        known = {"If-None-Match": first.headers["etag"]}
        assert (await admin.get("/analytics/performance/summary", headers=known)).status_code == 304

    async def test_of_unknown_metrics_names_the_known(self, admin: httpx.AsyncClient) -> None:
        answer = await admin.get("/analytics/performance/summary", params={"metrics": "accuracy,speed"})
        assert answer.status_code == 422
        assert "accuracy" in answer.json()["known"]

    async def test_of_a_window_upside_down_is_refused_as_for_trends(self, admin: httpx.AsyncClient) -> None:
        asked = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
        answer = await admin.get("/analytics/performance/summary", params=asked)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unusable-window")
        assert answer.json()["errors"][0]["pointer"] == "/query/from"

    async def test_tells_a_limited_key_of_its_models_alone(
        self, app: FastAPI, identities: Identities, rows: dict[str, tuple[np.ndarray, ...]]
    ) -> None:
        key = await identities.key("analytics:read", models=["churn"])
        async with client_of(app, **bearer(key)) as limited:
            assert [model["model_id"] for model in (await ask(limited))["models"]] == ["churn"]
            board = (await limited.get("/analytics/dashboard/data")).json()
            assert [model["model_id"] for model in board["models"]] == ["churn"]
            for path in ("dashboard/data?model=late", "dashboard/data?model=nowhere", "trends/late", "trends/nowhere"):
                told = await limited.get(f"/analytics/{path}")
                assert (told.status_code, told.json()["type"]) == (404, "/problems/model-out-of-reach"), path
