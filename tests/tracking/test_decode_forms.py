"""The same rows give the same batch, whatever the form they come in."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.clock import rfc3339
from app.stats.tally import Task
from app.tracking.batch import MISSING, Coded, LabelBatch, PredictionBatch
from app.tracking.decoding import shapes
from app.tracking.decoding.decode import JSON, decode_labels, decode_predictions
from tests.support.bodies import CLASSES, FORMS, NOW, as_columns, as_rows, facts_of

NAMES = st.text(st.characters(categories=["L", "N"], include_characters=' .-_/~"\\'), min_size=1, max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
NUMBERS = st.floats(-1e9, 1e9).map(lambda value: value + 0.0) | st.integers(-(2**53), 2**53)
TIMES = st.integers(NOW - 86_400_000_000, NOW).map(rfc3339)
KINDS = {"number": NUMBERS, "category": TEXTS, "boolean": st.booleans()}


@st.composite
def predictions(draw: st.DrawFn, task: Task) -> list[dict[str, Any]]:
    """Rows of one model: each may lack what a row may lack."""
    kinds = draw(st.dictionaries(NAMES, st.sampled_from(list(KINDS)), max_size=4))
    optional = {
        "timestamp": TIMES,
        "version": st.sampled_from(["1", "2"]),
        "subject": TEXTS,
        "segment": st.fixed_dictionaries({}, optional={"channel": TEXTS, "tier": TEXTS}),
        "features": st.fixed_dictionaries({}, optional={name: KINDS[kind] for name, kind in kinds.items()}),
    }
    outcome: dict[str, Any] = {"predicted": NUMBERS}
    if task is not Task.REGRESSION:
        outcome = {"predicted": st.sampled_from(CLASSES[task])}
        optional |= {"score": st.floats(0, 1)} if task is Task.BINARY else {"scores": probabilities(CLASSES[task])}
    row = st.fixed_dictionaries({"prediction_id": TEXTS, **outcome}, optional=optional)
    return draw(st.lists(row, min_size=1, max_size=12))


def probabilities(classes: tuple[str, ...]) -> st.SearchStrategy[dict[str, float]]:
    weights = st.lists(st.integers(1, 100), min_size=len(classes), max_size=len(classes))
    return weights.map(lambda w: {name: x / sum(w) for name, x in zip(classes, w, strict=True)})


@pytest.fixture(autouse=True)
def nothing_learnt() -> None:
    shapes._shapes.clear()


def read(body: bytes, content_type: str, facts: Any) -> PredictionBatch:
    return decode_predictions(body, content_type, facts, now_us=NOW, max_rows=1000)


def plain(batch: PredictionBatch) -> dict[str, Any]:
    """The batch as the values of each row, so that two can be compared."""
    return {
        "ids": batch.ids.tolist(),
        "times": batch.predicted_at.tolist(),
        "version": spelled(batch.version),
        "predicted": None if batch.predicted is None else spelled(batch.predicted),
        "score": None if batch.score is None or np.isnan(batch.score).all() else repr(batch.score.tolist()),
        "scores": None if batch.scores is None else by_class(batch),
        "features": {
            name: spelled(column) if isinstance(column, Coded) else repr(column.values.tolist())
            for name, column in batch.features.items()
        },
        "valid": {
            name: np.isnan(column.values).tolist() == (~valid).tolist()
            for name, column in batch.features.items()
            if not isinstance(column, Coded) and (valid := column.valid) is not None
        },
        "segments": {name: spelled(column) for name, column in batch.segments.items()},
        "subject": None if batch.subject is None else batch.subject.tolist(),
    }


def by_class(batch: PredictionBatch) -> dict[str, str]:
    assert batch.scores is not None
    return {name: repr(batch.scores[:, i].tolist()) for i, name in enumerate(batch.score_classes)}


def spelled(column: Coded) -> list[str | None]:
    return [None if code == MISSING else column.values[code] for code in column.codes.tolist()]


class TestPredictions:
    @pytest.mark.parametrize("task", list(Task))
    @given(data=st.data())
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_are_the_same_in_every_form(self, task, data):
        rows = data.draw(predictions(task))
        facts = facts_of(task)
        batches = {name: plain(read(*form(rows), facts)) for name, form in FORMS.items()}
        for name, batch in batches.items():
            assert batch == batches["rows"], name

    @pytest.mark.parametrize("form", ["rows", "columns", "lines"])
    @given(data=st.data())
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_are_the_same_read_by_learnt_types_and_loosely(self, form, data):
        rows = data.draw(predictions(Task.BINARY))
        body = FORMS[form](rows)
        shapes._shapes.clear()
        first, second = plain(read(*body, facts_of())), plain(read(*body, facts_of()))
        assert first == second

    def test_hold_what_the_rows_said(self):
        rows = [
            {
                "prediction_id": "a",
                "timestamp": "2026-03-01T00:00:00Z",
                "version": 2,
                "predicted": True,
                "score": 1,
                "features": {"amount": 12.5, "country": "DE", "new": True},
                "segment": {"channel": "web", "tier": 3},
                "subject": "someone",
            },
            {"prediction_id": "b", "predicted": 0, "features": {"amount": None}},
        ]
        batch = plain(read(*as_rows(rows, version="1"), facts_of()))
        assert batch == {
            "ids": ["a", "b"],
            "times": [NOW - 36 * 3600 * 10**6, NOW],
            "version": ["2", "1"],
            "predicted": ["true", "0"],
            "score": "[1.0, nan]",
            "scores": None,
            "features": {"amount": "[12.5, nan]", "country": ["DE", None], "new": ["true", None]},
            "valid": {"amount": True},
            "segments": {"channel": ["web", None], "tier": ["3", None]},
            "subject": ["someone", ""],
        }

    @pytest.mark.parametrize("name", ["inference_id", "sample_id"])
    @pytest.mark.parametrize("form", FORMS)
    def test_may_call_their_id_by_other_names(self, form, name):
        body = FORMS[form]([{name: "a", "score": 0.5}])
        assert read(*body, facts_of()).ids.tolist() == ["a"]

    def test_may_give_one_version_for_all_columns(self):
        body = json.dumps({"columns": {"prediction_id": ["a", "b"], "score": [0.1, 0.2], "version": 2}}).encode()
        assert spelled(read(body, JSON, facts_of()).version) == ["2", "2"]

    def test_may_give_a_whole_number_beyond_2_to_the_53(self):
        rows = [{"prediction_id": "a", "score": 0.5, "features": {"x": 2**53 + 1, "y": 10**300}}]
        features = read(*as_rows(rows), facts_of()).features
        assert [column.values.tolist() for column in features.values()] == [[float(2**53)], [1e300]]

    def test_learn_names_only_while_there_are_few(self):
        facts = facts_of()
        for batch in range(12):
            features = {f"feature {batch} {i}": 1.0 for i in range(100)}
            read(*as_rows([{"prediction_id": "a", "score": 0.5, "features": features}]), facts)
        assert len(shapes.shape_of(facts).kinds) <= shapes.MAX_LEARNED

    def test_follow_a_feature_that_changes_its_kind_between_requests(self):
        facts = facts_of()
        for value in (1.5, "text", True, 2, "more"):
            rows = [{"prediction_id": "a", "score": 0.5, "features": {"x": value}}]
            assert list(read(*as_rows(rows), facts).features) == ["x"]


class TestImports:
    @pytest.mark.parametrize("form", FORMS)
    def test_are_known_when_they_happened(self, form):
        body = FORMS[form]([{"prediction_id": "a", "score": 0.5, "timestamp": "2026-03-01T00:00:00Z"}])
        batch = decode_predictions(*body, facts_of(), now_us=NOW, max_rows=10, imported=True)
        assert batch.known_at is not None
        assert batch.known_at.tolist() == batch.predicted_at.tolist()

    @pytest.mark.parametrize("form", [as_rows, as_columns])
    def test_may_be_named_so_by_the_body(self, form):
        rows = [{"prediction_id": "a", "score": 0.5, "timestamp": "2026-03-01T00:00:00Z"}]
        assert read(*form(rows, **{"import": True}), facts_of()).known_at is not None
        assert read(*form(rows, **{"import": False}), facts_of()).known_at is None


class TestLabels:
    @pytest.mark.parametrize("task", list(Task))
    @given(data=st.data())
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_are_the_same_in_every_form(self, task, data):
        actual = NUMBERS if task is Task.REGRESSION else st.sampled_from(CLASSES[task])
        row = st.fixed_dictionaries(
            {"prediction_id": TEXTS, "actual": actual}, optional={"timestamp": TIMES, "correction": st.booleans()}
        )
        rows = data.draw(st.lists(row, min_size=1, max_size=12))
        batches = [
            self.plain(decode_labels(*form(rows, "labels"), facts_of(task), now_us=NOW, max_rows=100))
            for form in FORMS.values()
        ]
        assert batches[1:] == batches[:1] * 3

    @staticmethod
    def plain(batch: LabelBatch) -> list[Any]:
        return [
            batch.ids.tolist(),
            spelled(batch.actual) if isinstance(batch.actual, Coded) else batch.actual.tolist(),
            batch.event_at.tolist(),
            None if batch.correction is None else batch.correction.tolist(),
        ]
