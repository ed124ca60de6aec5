"""Random sequences of whole use cases beside a plain picture of them in memory: the product agrees with it after
every step, and nothing answers 5xx (G9, F18 to F20)."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.hostile.cases import Caller
from tests.hostile.corpus import bodies
from tests.hostile.sequences import Sequence, run
from tests.support.counts import Counts, forms
from tests.support.served import ServedProduct

NAMES = st.sampled_from([f"p{number}" for number in range(8)])
MODELS = st.sampled_from(["a", "b"])
SCORES = st.sampled_from([0.1, 0.4, 0.5, 0.9])
CLASSES = st.sampled_from(["0", "1"])
PREDICTIONS = st.dictionaries(NAMES, SCORES, min_size=1, max_size=5)
LABELS = st.dictionaries(NAMES, st.tuples(CLASSES, st.booleans()), min_size=1, max_size=5)
TARGETS = st.sampled_from(["tracking", "training", "validated", "staging", "production"])
BAD = st.sampled_from([body for kind, body in bodies.ALL if kind == bodies.JSON])
_runs = itertools.count()


@dataclass
class Picture:
    """What a model should be."""

    predictions: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)  # also those that wait
    versions: set[str] = field(default_factory=lambda: {"1"})
    shadow: str | None = None
    state: str = "tracking"
    archived: bool = False

    def labelled(self) -> list[bool]:
        """Of each prediction whose truth is known: whether it was right."""
        return [
            (self.predictions[name] >= 0.5) == (actual == "1")
            for name, actual in self.labels.items()
            if name in self.predictions
        ]


class Life(Sequence):
    def __init__(self) -> None:
        super().__init__()
        self._run = next(_runs)
        self._models: dict[str, Picture] = {}

    @initialize()
    def begin(self) -> None:
        self.set_up("a")

    def _ask(self, method: str, model: str, rest: str, **options: Any) -> httpx.Response:
        return self.ask(method, f"/models/{self._id(model)}{rest}", **options)

    def _id(self, model: str) -> str:
        return f"life-{self._run}-{model}"

    def _expected(self, model: str, status: int) -> int:
        """Of a change: unless the model is not there, or its life is over."""
        if model not in self._models:
            return 404
        return 409 if self._models[model].archived else status

    @rule(model=MODELS)
    def set_up(self, model: str) -> None:
        answer = self._ask("POST", model, "/tracking/setup", json={"model_info": {"model_id": self._id(model)}})
        if model not in self._models:
            assert answer.status_code == 201
            self._models[model] = Picture()
        else:
            assert answer.status_code == (409 if self._models[model].archived else 200)

    @rule(model=MODELS, rows=PREDICTIONS)
    def predict(self, model: str, rows: dict[str, float]) -> None:
        sent = [{"prediction_id": name, "score": score} for name, score in rows.items()]
        answer = self._ask("POST", model, "/predictions", json={"predictions": sent})
        assert answer.status_code == self._expected(model, 201)
        if answer.status_code != 201:
            return
        picture, told = self._models[model], answer.json()
        new = {name: score for name, score in rows.items() if name not in picture.predictions}
        same = sum(picture.predictions.get(name) == score for name, score in rows.items())
        assert (told["accepted"], told["duplicates"]) == (len(new), same)
        assert len(told["conflicts"]) == len(rows) - len(new) - same
        assert told["joined_labels"] == sum(name in picture.labels for name in new)
        picture.predictions |= new

    @rule(model=MODELS, rows=LABELS)
    def label(self, model: str, rows: dict[str, tuple[str, bool]]) -> None:
        sent = [
            {"prediction_id": name, "actual": actual, "correction": correction}
            for name, (actual, correction) in rows.items()
        ]
        answer = self._ask("POST", model, "/labels", json={"labels": sent})
        assert answer.status_code == self._expected(model, 201)
        if answer.status_code != 201:
            return
        picture, told = self._models[model], answer.json()
        duplicates = sum(picture.labels.get(name) == actual for name, (actual, _) in rows.items())
        taken = {
            name: actual
            for name, (actual, correction) in rows.items()
            if name not in picture.labels or (correction and picture.labels[name] != actual)
        }
        assert (told["accepted"], told["duplicates"]) == (len(taken), duplicates)
        assert len(told["conflicts"]) == len(rows) - len(taken) - duplicates
        assert told["corrected"] == sum(name in picture.labels for name in taken)
        assert told["joined"] == sum(name in picture.predictions for name in taken)
        picture.labels |= taken

    @rule(model=MODELS, version=st.sampled_from(["2", "3"]))
    def register_version(self, model: str, version: str) -> None:
        answer = self._ask("POST", model, "/versions", json={"version": version})
        known = model in self._models and version in self._models[model].versions
        assert answer.status_code == self._expected(model, 200 if known else 201)
        if answer.is_success:
            self._models[model].versions.add(version)

    @rule(model=MODELS, version=st.sampled_from(["1", "2", "9"]))
    def point_alias(self, model: str, version: str) -> None:
        answer = self._ask("PUT", model, "/aliases/shadow", json={"version": version})
        known = model in self._models and version in self._models[model].versions
        assert answer.status_code == self._expected(model, 200 if known else 422)
        if answer.is_success:
            self._models[model].shadow = version

    @rule(model=MODELS)
    def remove_alias(self, model: str) -> None:
        answer = self._ask("DELETE", model, "/aliases/shadow")
        there = model in self._models and self._models[model].shadow is not None
        assert answer.status_code == self._expected(model, 200 if there else 404)
        if answer.is_success:
            self._models[model].shadow = None

    @rule(model=MODELS, goal=TARGETS, stale=st.booleans())
    def move(self, model: str, goal: str, stale: bool) -> None:
        if model not in self._models:
            return
        picture = self._models[model]
        allowed = self._ask("GET", model, "/versions/1").json()["allowed_transitions"]
        tag = '"stale"' if stale else self._ask("GET", model, "/lifecycle/status").headers["etag"]
        body = {"target_state": goal, "version": "1"}
        answer = self._ask("PUT", model, "/lifecycle/update", json=body, headers={"If-Match": tag})
        if answer.status_code == 200:
            assert goal in allowed
            assert not stale
            assert not picture.archived
            picture.state = goal
        else:
            assert stale or picture.archived or goal not in allowed, answer.text

    @rule(model=MODELS)
    @precondition(lambda self: len(self._models) > 1)
    def archive(self, model: str) -> None:
        answer = self._ask("DELETE", model, "")
        in_use = self._models[model].state in {"staging", "production"}
        assert answer.status_code == (409 if in_use else 200)
        self._models[model].archived |= not in_use

    @rule(model=MODELS, rest=st.sampled_from(["/predictions", "/labels", "/versions", "/tracking/setup"]), body=BAD)
    def attack(self, model: str, rest: str, body: bytes) -> None:
        answer = self._ask("POST", model, rest, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 404, 409, 413, 422}

    @invariant()
    def the_product_agrees(self) -> None:
        for model, picture in self._models.items():
            shown = self._ask("GET", model, "").json()
            assert shown["aliases"].get("shadow") == picture.shadow
            assert set(shown["versions"]) == picture.versions
            assert (shown["archived_at"] is not None) == picture.archived
            right = picture.labelled()
            trend = self.client.get(f"/analytics/trends/{self._id(model)}", params={"interval": "day"})
            overall = trend.json()["overall"]
            assert (overall["n"], overall["labelled"]) == (len(picture.predictions), len(right))
            assert overall["value"] == (pytest.approx(sum(right) / len(right)) if right else None)


@pytest.mark.fault("G9", "F18", "F19", "F20")
class TestSequences:
    @forms(smoke=(2, 8, 25), long=(20, 200, 50))
    def test_the_product_does_what_its_picture_does(
        self, product: ServedProduct, caller: Caller, counts: Counts, size: tuple[int, int, int]
    ) -> None:
        run(Life, product.url, caller.token.decode(), counts, size)
