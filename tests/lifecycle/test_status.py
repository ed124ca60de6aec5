"""A model as a whole: where it stands, how accurate it is, how much of the truth has come."""

from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from sklearn.metrics import accuracy_score, mean_absolute_error, root_mean_squared_error
from statsmodels.stats.proportion import proportion_confint

from app.core.clock import DAY, HOUR, MINUTE, FrozenClock
from app.db.engine import Database
from app.lifecycle.service import LifecycleService
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.tracking.rollups.curves import Curves
from app.tracking.rollups.reading import Reading
from tests.support.tracked import track

STATUS = "/models/m/lifecycle/status"


async def set_up(client: httpx.AsyncClient, **info: Any) -> None:
    answer = await client.post("/models/m/tracking/setup", json={"model_info": {"model_id": "m", **info}})
    assert answer.status_code == 201


async def status(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(STATUS)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


async def track_classes(
    database: Database, clock: FrozenClock, facts: ModelFacts, *, n: int, right: int, unlabelled: int = 0, **more: Any
) -> None:
    """n labelled predictions a day old, of which `right` are, each labelled within a minute; some without a label."""
    predicted = np.tile([0, 1], n + unlabelled)[: n + unlabelled]
    actual = predicted.astype(np.float64)
    actual[right:n] = 1 - actual[right:n]
    actual[n:] = np.nan
    times = np.full(n + unlabelled, clock.now_us() - DAY)
    await track(
        database,
        clock,
        facts,
        predicted_at=times,
        predicted=predicted,
        score=np.full(len(times), np.nan),
        actual=actual,
        known_at=times + MINUTE,
        **more,
    )


class TestANewModel:
    async def test_has_a_state_and_no_accuracy(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        told = await status(admin)
        assert (told["model_id"], told["task"], told["state"], told["version"]) == ("m", "binary", "tracking", "1")
        assert (told["aliases"], told["allowed_transitions"]) == ({}, ["training"])
        assert [version["version"] for version in told["versions"]] == ["1"]
        accuracy = told["accuracy"]
        assert (accuracy["metric"], accuracy["n"], accuracy["level"]) == ("accuracy", 0, 0.95)
        assert [accuracy[name] for name in ("value", "ci_low", "ci_high")] == [None] * 3
        assert told["labels"] == {
            "predictions": 0,
            "labelled": 0,
            "waiting": 0,
            "coverage": None,
            "median_delay_s": None,
            "p99_delay_s": None,
        }

    async def test_of_a_regression_too(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin, task="regression")
        told = await status(admin)
        assert (told["accuracy"]["metric"], told["accuracy"]["value"]) == ("mae", None)

    async def test_unknown(self, admin: httpx.AsyncClient) -> None:
        assert (await admin.get("/models/nothing/lifecycle/status")).status_code == 404


class TestAccuracy:
    async def test_comes_with_its_interval(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        await set_up(admin)
        await track_classes(database, clock, await Catalogue(database).facts("m"), n=400, right=370, unlabelled=100)
        told = await status(admin)
        assert told["accuracy"]["value"] == pytest.approx(accuracy_score([1] * 400, [1] * 370 + [0] * 30), abs=1e-15)
        low, high = proportion_confint(370, 400, method="wilson")
        assert (told["accuracy"]["ci_low"], told["accuracy"]["ci_high"]) == pytest.approx((low, high), rel=1e-9)
        assert told["accuracy"]["n"] == 400
        assert told["labels"]["coverage"] == 400 / 500

    async def test_is_that_of_the_version_shown(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        await set_up(admin)
        await set_up(admin, version="2")
        facts = await Catalogue(database).facts("m")
        await track_classes(database, clock, facts, n=100, right=90, version="1")
        await track_classes(database, clock, facts, n=50, right=10, version="2")
        assert (await status(admin))["accuracy"]["value"] == 10 / 50
        await admin.put("/models/m/aliases/champion", json={"version": "1"})
        told = await status(admin)
        assert (told["version"], told["accuracy"]["value"]) == ("1", 90 / 100)

    async def test_of_a_regression_is_its_error(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        await set_up(admin, task="regression")
        catalogue = Catalogue(database)
        facts = await catalogue.facts("m")
        random = np.random.default_rng(7)
        actual = random.normal(size=300)
        predicted = actual + random.normal(scale=0.3, size=300)
        times = np.full(300, clock.now_us() - DAY)
        known = {"predicted_at": times, "known_at": times + HOUR}
        await track(database, clock, facts, predicted=predicted, score=predicted, actual=actual, **known)
        metrics = (await status(admin))["metrics"]
        assert metrics["mae"]["value"] == pytest.approx(mean_absolute_error(actual, predicted), abs=1e-8)
        assert metrics["rmse"]["value"] == pytest.approx(root_mean_squared_error(actual, predicted), abs=1e-8)
        assert metrics["mae"]["ci_low"] < metrics["mae"]["value"] < metrics["mae"]["ci_high"]


class TestLabels:
    async def test_delays_are_those_planted(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        await set_up(admin)
        facts = await Catalogue(database).facts("m")
        delays = np.random.default_rng(7).exponential(2 * HOUR, 4000).astype(np.int64)
        times = clock.now_us() - 30 * DAY + np.arange(4000) * MINUTE
        ones = np.ones(4000)
        known = {"predicted_at": times, "known_at": times + delays}
        await track(database, clock, facts, predicted=ones.astype(np.int64), score=ones * np.nan, actual=ones, **known)
        labels = (await status(admin))["labels"]
        # bins of a quarter octave: 19 % wide, straight inside
        assert labels["median_delay_s"] == pytest.approx(np.median(delays) / 1e6, rel=0.05)
        assert labels["p99_delay_s"] == pytest.approx(np.quantile(delays, 0.99) / 1e6, rel=0.1)

    async def test_waiting_ones_are_counted(self, admin: httpx.AsyncClient, database: Database) -> None:
        await set_up(admin)
        facts = await Catalogue(database).facts("m")
        async with database.transaction() as connection:
            for number, model_no in enumerate((facts.id, facts.id, facts.id + 1)):
                await connection.execute(
                    "insert into label_waiting (key, model_no, actual, event_at, arrived_at, known_at)"
                    " values ($1, $2, 1, now(), now(), now())",
                    model_no.to_bytes(4, "big") + bytes([0, number]),
                    model_no,
                )
        assert (await status(admin))["labels"]["waiting"] == 2


class TestTheTag:
    async def test_stands_still_while_labels_come_in(
        self, admin: httpx.AsyncClient, database: Database, clock: FrozenClock
    ) -> None:
        await set_up(admin)
        before = await admin.get(STATUS)
        await track_classes(database, clock, await Catalogue(database).facts("m"), n=10, right=9)
        after = await admin.get(STATUS, headers={"If-None-Match": before.headers["etag"]})
        assert after.status_code == 200  # not 304: the accuracy is another
        assert after.headers["etag"] == before.headers["etag"]
        assert after.json()["accuracy"] != before.json()["accuracy"]

    async def test_moves_with_every_decision(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        tags = [(await admin.get(STATUS)).headers["etag"]]
        for method, path, body in (
            ("POST", "/models/m/versions", {"version": "2"}),
            ("PUT", "/models/m/aliases/challenger", {"version": "2"}),
            ("DELETE", "/models/m/aliases/challenger", None),
            ("DELETE", "/models/m", None),
        ):
            await admin.request(method, path, json=body)
            tags.append((await admin.get(STATUS)).headers["etag"])
        assert len(set(tags)) == len(tags)

    async def test_stands_still_when_nothing_changes(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        await admin.put("/models/m/aliases/champion", json={"version": "1"})
        before = (await admin.get(STATUS)).headers["etag"]
        await admin.put("/models/m/aliases/champion", json={"version": "1"})
        assert (await admin.get(STATUS)).headers["etag"] == before


class TestAnArchivedModel:
    async def test_goes_nowhere_any_more(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin)
        await admin.delete("/models/m")
        told = await status(admin)
        assert (told["state"], told["allowed_transitions"]) == ("archived", [])
        assert told["versions"][0]["state"] == "tracking"


class TestSeveralProcesses:
    async def test_each_sees_at_once_what_another_changed(
        self, admin: httpx.AsyncClient, app: FastAPI, database: Database, clock: FrozenClock
    ) -> None:
        """What the registry holds is read once for each revision, whoever made it."""
        await set_up(admin)
        other = LifecycleService(
            database, clock, Catalogue(database), app.state.services[Reading], app.state.services[Curves]
        )
        assert (await other.status("m"))[0].aliases == {}
        assert (await admin.post("/models/m/versions", json={"version": "2"})).status_code == 201
        assert (await admin.put("/models/m/aliases/candidate", json={"version": "2"})).status_code == 200
        told, tag = await other.status("m")
        assert ([each.version for each in told.versions], told.aliases) == (["1", "2"], {"candidate": "2"})
        assert tag == (await admin.get(STATUS)).headers["etag"]
