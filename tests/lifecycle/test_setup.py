"""Setting up a model or a version: once, again, changed, contradicted, and by twenty at once."""

import asyncio
import copy
import re
from typing import Any

import httpx

from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.models.reference import ReferenceFeature
from tests.support.http import Identities, bearer
from tests.support.setups import body, named, pointers, set_up

ORCHESTRATOR_EXAMPLE: dict[str, Any] = {
    "model_info": {"model_id": "fraud_model_v2.0", "model_type": "ensemble", "training_data_hash": "abc123"},
    "dataset_config": {"train_ratio": 0.7, "val_ratio": 0.15, "test_ratio": 0.15, "stratification": True},
    "monitoring_config": {
        "real_time_monitoring": True,
        "alert_thresholds": {"accuracy_drop": 0.05},
        "notification_channels": ["email", "slack"],
    },
}
COUNTED = {"amount": {"bins": [0, 10, 20.5], "counts": [3, 4]}, "country": {"bins": ["DE", "FR"], "counts": [1, 9]}}


class TestTheFirstTime:
    async def test_the_orchestrators_example_is_stored_whole_and_comes_back(self, admin: httpx.AsyncClient) -> None:
        answer = await set_up(admin, ORCHESTRATOR_EXAMPLE)
        told = answer.json()
        assert answer.status_code == 201
        assert (told["model_id"], told["version"], told["state"]) == ("fraud_model_v2.0", "1", "tracking")
        for name, document in ORCHESTRATOR_EXAMPLE.items():
            assert told[name] | document == told[name]
        assert told["channels"] == [
            {"name": "email", "status": "unconfigured"},
            {"name": "slack", "status": "unconfigured"},
        ]
        [monitor] = told["monitors"]
        assert (monitor["name"], monitor["metric"], monitor["threshold"]) == ("accuracy_drop", "accuracy", 0.05)
        assert (monitor["real_time"], monitor["status"]) == (True, "defined")

    async def test_what_is_left_out_has_its_default(self, admin: httpx.AsyncClient) -> None:
        told = (await set_up(admin, {"model_info": {"model_id": "m"}})).json()
        assert (
            told["model_info"] | {"task": "binary", "classes": ["0", "1"], "positive_class": "1", "version": "1"}
            == (told["model_info"])
        )
        assert told["dataset_config"] == {
            "train_ratio": 0.7,
            "val_ratio": 0.15,
            "test_ratio": 0.15,
            "stratification": False,
            "schema": {},
            "reference": None,
            "allow_new_classes": False,
            "threshold": 0.5,
            "retention_days": None,
        }
        assert (told["monitors"], told["channels"]) == ([], [])

    async def test_the_hot_path_sees_it(self, admin: httpx.AsyncClient, database: Database) -> None:
        request = body(task="multiclass", classes=["a", "b", 3])
        request["dataset_config"] = {
            "schema": {"amount": "number", "country": "category"},
            "reference": {"features": COUNTED},
            "allow_new_classes": True,
            "retention_days": 90,
        }
        assert (await set_up(admin, request)).status_code == 201
        facts = await Catalogue(database).facts("m")
        assert (facts.task, facts.classes, facts.allow_new_classes) == ("multiclass", ("a", "b", "3"), True)
        assert (facts.schema, facts.retention_days) == ({"amount": "number", "country": "category"}, 90)
        reference = await Catalogue(database).reference(facts.id)
        assert reference is not None
        assert reference.features["amount"] == ReferenceFeature((0.0, 10.0, 20.5), (3, 4))
        assert reference.features["country"] == ReferenceFeature(("DE", "FR"), (1, 9))

    async def test_the_state_and_its_history_begin(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin, body())
        history = (await admin.get("/models/m/lifecycle/status")).json()["history"]
        assert [(entry["from_state"], entry["to_state"]) for entry in history] == [
            ("registered", "tracking"),
            (None, "registered"),
        ]
        assert history[0]["moved_by"].startswith("user:")


CONTRADICTED = [
    (body(training_data_hash="a"), body(training_data_hash="b"), "/model_info/training_data_hash"),
    (body(), body(task="regression"), "/model_info/task"),
    (body(), body(classes=["no", "yes"]), "/model_info/classes"),
    (body(), body(classes=["1", "0"]), "/model_info/classes"),  # the order gives the classes their numbers
    (body(), body(positive_class="0"), "/model_info/positive_class"),
    (body(model_type="a"), body(model_type="b"), "/model_info/model_type"),
    (body(), body("dataset_config.threshold", 0.7), "/dataset_config/threshold"),
    (body(), body("dataset_config.stratification", True), "/dataset_config/stratification"),
    (body(), body("dataset_config.schema", {"a": "number"}), "/dataset_config/schema"),
    (body(), body("dataset_config.reference", {"features": COUNTED}), "/dataset_config/reference"),
]


class TestAgain:
    async def test_changes_nothing(self, admin: httpx.AsyncClient) -> None:
        first, second = [await set_up(admin, ORCHESTRATOR_EXAMPLE) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 200)
        assert second.json() == first.json() | {"outcome": "unchanged"}
        assert first.headers["etag"] == second.headers["etag"]

    async def test_what_is_left_out_is_as_it_was(self, admin: httpx.AsyncClient) -> None:
        first = await set_up(admin, ORCHESTRATOR_EXAMPLE)
        second = await set_up(admin, {"model_info": {"model_id": "fraud_model_v2.0"}})
        assert (second.status_code, second.json()) == (200, first.json() | {"outcome": "unchanged"})

    async def test_takes_over_changed_monitoring(self, admin: httpx.AsyncClient) -> None:
        first = await set_up(admin, ORCHESTRATOR_EXAMPLE)
        changed = copy.deepcopy(ORCHESTRATOR_EXAMPLE)
        changed["monitoring_config"] = {
            "real_time_monitoring": False,
            "alert_thresholds": {"accuracy_floor": 0.8, "feature_drift": 0.2},
            "notification_channels": ["slack"],
        }
        second = await set_up(admin, changed)
        assert (second.status_code, second.json()["outcome"]) == (200, "updated")
        assert [monitor["name"] for monitor in second.json()["monitors"]] == ["accuracy_floor", "feature_drift"]
        assert not any(monitor["real_time"] for monitor in second.json()["monitors"])
        assert [channel["name"] for channel in second.json()["channels"]] == ["slack"]
        assert second.headers["etag"] != first.headers["etag"]
        listed = (await admin.get("/models/fraud_model_v2.0/monitors")).json()["monitors"]
        assert listed == second.json()["monitors"]

    async def test_takes_a_hash_where_none_was_known(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin, body())
        filled = await set_up(admin, body(training_data_hash="abc"))
        assert (filled.status_code, filled.json()["outcome"]) == (200, "updated")
        assert filled.json()["model_info"]["training_data_hash"] == "abc"
        assert (await set_up(admin, body(training_data_hash="def"))).status_code == 409

    async def test_refuses_what_contradicts_the_version_and_leaves_it(self, admin: httpx.AsyncClient) -> None:
        for number, (stated, contradiction, pointer) in enumerate(CONTRADICTED):
            first, again = named(f"m{number}", stated), named(f"m{number}", contradiction)
            before = (await set_up(admin, first)).json()
            answer = await set_up(admin, again)
            assert (answer.status_code, answer.json()["type"]) == (409, "/problems/setup-conflict"), again
            assert pointers(answer) == [pointer]
            assert not re.search(r"None|False|'", answer.json()["detail"]), "Python's words"
            assert (await set_up(admin, first)).json() == before | {"outcome": "unchanged"}

    async def test_refuses_an_archived_model(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin, body())
        await admin.delete("/models/m")
        answer = await set_up(admin, body())
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/model-archived")


OTHER_MODELS = [
    (body(), body(version="2", task="regression"), "/model_info/task"),
    (body(), body(version="2", classes=["a", "b"]), "/model_info/classes"),
    (body(), body(version="2", positive_class="0"), "/model_info/positive_class"),
    (
        body(task="multiclass", classes=["a", "b"]),
        body(version="2", classes=["a", "b", "c"]),
        "/model_info/classes",
    ),
    (
        body("dataset_config.schema", {"a": "number"}),
        body("dataset_config.schema", {"a": "category"}, version="2"),
        "/dataset_config/schema",
    ),
    (
        body("dataset_config.schema", {"a": "number"}),
        body("dataset_config.schema", {"b": "number"}, version="2"),
        "/dataset_config/schema",
    ),
    (
        body(task="multiclass", classes=["a", "b"]),
        body("dataset_config.allow_new_classes", True, version="2"),
        "/dataset_config/allow_new_classes",
    ),
]


class TestAnotherVersion:
    async def test_is_registered_beside_the_first(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin, body(training_data_hash="a"))
        second = await set_up(admin, body(training_data_hash="b", version="2"))
        assert (second.status_code, second.json()["version"], second.json()["state"]) == (201, "2", "tracking")
        assert (await admin.get("/models/m")).json()["versions"] == ["1", "2"]

    async def test_takes_from_the_model_what_it_leaves_out(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin, body("dataset_config.threshold", 0.7, classes=["no", "yes"]))
        told = (await set_up(admin, body(version="2"))).json()
        assert told["model_info"]["classes"] == ["no", "yes"]
        assert told["dataset_config"]["threshold"] == 0.7

    async def test_keeps_its_own_threshold(self, admin: httpx.AsyncClient) -> None:
        first = body("dataset_config.threshold", 0.5)
        await set_up(admin, first)
        await set_up(admin, body("dataset_config.threshold", 0.6, version="2"))
        assert (await set_up(admin, first)).json()["outcome"] == "unchanged"
        await admin.put("/models/m/aliases/champion", json={"version": "1"})
        await admin.post("/models/m/versions", json={"version": "3"})
        rows = [{"prediction_id": f"v{version}", "score": 0.55, "version": version} for version in ("1", "2", "3")]
        sent = await admin.post(
            "/models/m/predictions", json={"predictions": [*rows, {"prediction_id": "v", "score": 0.55}]}
        )
        assert sent.status_code == 201
        seen = {
            name: (await admin.get(f"/models/m/predictions/{name}")).json()["predicted"]
            for name in ("v1", "v2", "v3", "v")
        }
        assert seen == {
            "v1": "1",
            "v2": "0",
            "v3": "0",
            "v": "1",
        }  # 3 has no setup: the newest threshold; v is the champion's

    async def test_may_add_to_what_holds_for_all_rows(self, admin: httpx.AsyncClient, database: Database) -> None:
        first = body("dataset_config.schema", {"a": "number"})
        await set_up(admin, first)
        second = body("dataset_config.schema", {"a": "number", "b": "category"}, version="2")
        second["dataset_config"]["retention_days"] = 90
        assert (await set_up(admin, second)).status_code == 201
        facts = await Catalogue(database).facts("m")
        assert (facts.schema, facts.retention_days) == ({"a": "number", "b": "category"}, 90)
        for request in (first, second):
            assert (await set_up(admin, request)).json()["outcome"] == "unchanged"

    async def test_may_bring_classes_where_new_ones_are_welcome(
        self, admin: httpx.AsyncClient, database: Database
    ) -> None:
        first = body("dataset_config.allow_new_classes", True, task="multiclass", classes=["a", "b"])
        await set_up(admin, first)
        grown = await set_up(admin, body(version="2", classes=["a", "b", "c"]))
        assert grown.status_code == 201
        assert (await Catalogue(database).facts("m")).classes == ("a", "b", "c")
        assert (await set_up(admin, first)).json()["outcome"] == "unchanged"

    async def test_a_registered_one_gets_its_setup(self, admin: httpx.AsyncClient) -> None:
        await set_up(admin, body())
        await admin.post("/models/m/versions", json={"version": "2", "training_data_hash": "abc"})
        contradicted = await set_up(admin, body(version="2", training_data_hash="def"))
        assert (contradicted.status_code, pointers(contradicted)) == (409, ["/model_info/training_data_hash"])
        told = await set_up(admin, body(version="2"))
        assert (told.status_code, told.json()["state"]) == (201, "tracking")
        assert told.json()["model_info"]["training_data_hash"] == "abc"

    async def test_may_bring_another_reference(self, admin: httpx.AsyncClient, database: Database) -> None:
        await set_up(admin, body("dataset_config.reference", {"features": COUNTED}))
        facts = await Catalogue(database).facts("m")
        revisions = []
        for version, counts in (("2", [3, 4]), ("3", [5, 6])):
            changed = {"features": COUNTED | {"amount": {"bins": [0, 10, 20.5], "counts": counts}}}
            await set_up(admin, body("dataset_config.reference", changed, version=version))
            reference = await Catalogue(database).reference(facts.id)
            assert reference is not None
            revisions.append(reference.revision)
        assert revisions == [1, 2]  # the same again is no other reference

    async def test_can_not_make_another_model_of_it(self, admin: httpx.AsyncClient) -> None:
        for number, (first, second, pointer) in enumerate(OTHER_MODELS):
            await set_up(admin, named(f"m{number}", first))
            answer = await set_up(admin, named(f"m{number}", second))
            assert (answer.status_code, pointers(answer)) == (409, [pointer]), second
            assert (await admin.get(f"/models/m{number}")).json()["versions"] == ["1"]


class TestManyAtOnce:
    async def test_twenty_of_the_same_make_one_model(self, admin: httpx.AsyncClient) -> None:
        answers = await asyncio.gather(*(set_up(admin, ORCHESTRATOR_EXAMPLE) for _ in range(20)))
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        assert len({answer.headers["etag"] for answer in answers}) == 1
        assert len((await admin.get("/models")).json()["models"]) == 1

    async def test_twenty_that_differ_leave_one_standing(self, admin: httpx.AsyncClient) -> None:
        answers = await asyncio.gather(*(set_up(admin, body(training_data_hash=str(n))) for n in range(20)))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


REFUSED: list[tuple[dict[str, Any], str]] = [
    (body("model_info.model_id", "other"), "/model_info/model_id"),  # the address says m
    (body("colour", "red"), "/colour"),
    (body("model_info.colour", "red"), "/model_info/colour"),
    (body("monitoring_config.alert_thresholds.colour", 0.1), "/monitoring_config/alert_thresholds/colour"),
    (body("dataset_config.train_ratio", 0.8), "/dataset_config"),  # 0.8 + 0.15 + 0.15
    (body("dataset_config.train_ratio", 0.7 + 1e-8), "/dataset_config"),
    (body("dataset_config.train_ratio", "0.7"), "/dataset_config/train_ratio"),  # text is not a number
    (body("dataset_config.stratification", 1), "/dataset_config/stratification"),
    (body("dataset_config.threshold", 1.5), "/dataset_config/threshold"),
    (body("dataset_config.retention_days", 0), "/dataset_config/retention_days"),
    (body("dataset_config.schema", {"a": "text"}), "/dataset_config/schema/a"),
    (body("dataset_config.reference", {}), "/dataset_config/reference"),
    (body("dataset_config.reference", {"dataset_id": "d"}), "/dataset_config/reference/dataset_id"),
    (
        body("dataset_config.reference", {"features": {"a": {"bins": [0, 0], "counts": [1]}}}),
        "/dataset_config/reference/features/a",
    ),
    (
        body("dataset_config.reference", {"features": {"a": {"bins": [0, 1], "counts": [0]}}}),
        "/dataset_config/reference/features/a",
    ),
    (
        body("dataset_config", {"schema": {"amount": "number"}, "reference": {"features": COUNTED}}),
        "/dataset_config/reference/features/country",
    ),
    (
        body(
            "dataset_config",
            {
                "schema": {"amount": "category", "country": "category"},
                "reference": {"features": COUNTED},
            },
        ),
        "/dataset_config/reference/features/amount/bins",
    ),
    (
        body("dataset_config.reference", {"features": {"a": {"bins": [0, "b"], "counts": [1]}}}),
        "/dataset_config/reference/features/a/bins",  # edges or names, not both
    ),
    (body(task="ranking"), "/model_info/task"),
    (body(task="multiclass"), "/model_info/classes"),
    (body(classes=["a", "b", "c"]), "/model_info/classes"),  # binary has two
    (body(classes=["a", "a"]), "/model_info/classes"),
    (body(positive_class="yes"), "/model_info/positive_class"),
    (body(task="regression", classes=["a", "b"]), "/model_info/classes"),
    (body("dataset_config.threshold", 0.4, task="regression"), "/dataset_config/threshold"),
    (body("dataset_config.stratification", True, task="regression"), "/dataset_config/stratification"),
    (body("dataset_config.allow_new_classes", True), "/dataset_config/allow_new_classes"),  # binary stays two
    (
        body("monitoring_config.alert_thresholds", {"accuracy_drop": 0}),
        "/monitoring_config/alert_thresholds/accuracy_drop",
    ),
    (
        body("monitoring_config.alert_thresholds", {"accuracy_drop": 0.1}, task="regression"),
        "/monitoring_config/alert_thresholds/accuracy_drop",
    ),
    (
        body("monitoring_config.alert_thresholds", {"mae_increase": 0.1}),
        "/monitoring_config/alert_thresholds/mae_increase",
    ),
    (body("monitoring_config.notification_channels", ["a", "a"]), "/monitoring_config/notification_channels"),
    (body("monitoring_config.notification_channels", "email"), "/monitoring_config/notification_channels"),
]


class TestRefusals:
    async def test_point_at_the_key_and_leave_nothing_behind(self, admin: httpx.AsyncClient) -> None:
        for request, pointer in REFUSED:
            answer = await admin.post("/models/m/tracking/setup", json=request)
            assert (answer.status_code, pointers(answer)) == (422, [pointer]), request
        assert (await admin.get("/models/m")).status_code == 404

    async def test_a_viewer_may_not(self, client: httpx.AsyncClient, identities: Identities) -> None:
        headers = bearer(await identities.user("viewer"))
        assert (await client.post("/models/m/tracking/setup", json=body(), headers=headers)).status_code == 403

    async def test_thirds_are_a_split(self, admin: httpx.AsyncClient) -> None:
        thirds = {"train_ratio": 1 / 3, "val_ratio": 1 / 3, "test_ratio": 1 / 3}
        assert (await set_up(admin, body("dataset_config", thirds))).status_code == 201
