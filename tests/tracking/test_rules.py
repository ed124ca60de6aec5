"""What the rules make of rows that hold them: names resolved, `predicted` completed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clock import MINUTE, rfc3339
from app.core.errors import InvalidRequest
from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.batch import MISSING, Coded, Numbers, PredictionBatch, Text
from app.tracking.checked import CheckedLabels, CheckedPredictions
from app.tracking.decoding.decode import decode_labels, decode_predictions
from app.tracking.decoding.rules import check_labels, check_predictions
from tests.support.bodies import NOW, as_rows, facts_of

BINARY = facts_of()
MULTICLASS = facts_of(Task.MULTICLASS)
REGRESSION = facts_of(Task.REGRESSION)
GROWING = facts_of(Task.MULTICLASS, allow_new_classes=True)


def checked(rows: list[dict[str, Any]], facts: ModelFacts) -> CheckedPredictions:
    numbered = [{"prediction_id": str(number), **row} for number, row in enumerate(rows)]
    batch = decode_predictions(*as_rows(numbered), facts, now_us=NOW, max_rows=100)
    return check_predictions(batch, facts, now_us=NOW)


def labelled(rows: list[dict[str, Any]], facts: ModelFacts) -> CheckedLabels:
    numbered = [{"prediction_id": str(number), **row} for number, row in enumerate(rows)]
    batch = decode_labels(*as_rows(numbered, "labels"), facts, now_us=NOW, max_rows=100)
    return check_labels(batch, facts, now_us=NOW)


class TestTheClassOfABinaryPrediction:
    @pytest.mark.parametrize(
        ("facts", "score", "index"),
        [
            (BINARY, 0.5, 1),  # reaching the threshold is enough
            (BINARY, 0.49999, 0),
            (facts_of(threshold=0.9), 0.89, 0),
            (facts_of(threshold=0.0), 0.0, 1),
            (facts_of(positive=0), 0.9, 0),  # the positive class may come first
            (facts_of(positive=0), 0.1, 1),
        ],
    )
    def test_follows_the_score(self, facts, score, index):
        assert checked([{"score": score}], facts).predicted.tolist() == [index]

    def test_is_the_one_that_was_sent(self):
        found = checked([{"score": 0.9, "predicted": "0"}, {"predicted": 1}, {"score": 0.9}], BINARY)
        assert found.predicted.tolist() == [0, 1, 1]
        assert np.isnan(found.score).tolist() == [False, True, False]

    def test_may_be_a_truth_value(self):
        facts = facts_of(classes=("false", "true"))
        assert checked([{"predicted": True}, {"predicted": "false"}], facts).predicted.tolist() == [1, 0]

    def test_is_never_a_third(self):
        with pytest.raises(InvalidRequest):
            checked([{"predicted": "2"}], facts_of(allow_new_classes=True))


class TestTheClassOfAMulticlassPrediction:
    def test_is_the_most_probable(self):
        rows = [{"scores": {"cat": 0.2, "dog": 0.5, "owl": 0.3}}, {"scores": {"owl": 1}}]
        found = checked(rows, MULTICLASS)
        assert found.predicted.tolist() == [1, 2]
        assert found.scores is not None
        assert found.scores.tolist() == [[0.2, 0.5, 0.3], [0, 0, 1]]

    def test_is_the_first_on_a_tie(self):
        assert checked([{"scores": {"owl": 0.5, "dog": 0.5}}], MULTICLASS).predicted.tolist() == [1]

    def test_may_stand_without_scores(self):
        found = checked([{"predicted": "owl"}, {"scores": {"dog": 1}}], MULTICLASS)
        assert found.predicted.tolist() == [2, 1]
        assert found.scores is not None
        assert np.isnan(found.scores).all(axis=1).tolist() == [True, False]

    def test_may_sum_to_one_but_for_rounding(self):
        assert (
            checked([{"scores": {"cat": 0.3333333, "dog": 0.3333333, "owl": 0.3333333}}], MULTICLASS).scores is not None
        )

    def test_may_be_new_where_the_model_allows_it(self):
        rows = [
            {"predicted": "yak"},
            {"predicted": "cat"},
            {"scores": {"emu": 0.75, "cat": 0.25}},
            {"predicted": "yak"},
        ]
        found = checked(rows, GROWING)
        assert found.new_classes == ("yak", "emu")
        assert found.predicted.tolist() == [3, 0, 4, 3]
        assert found.scores is not None
        assert found.scores[2].tolist() == [0.25, 0, 0, 0, 0.75]

    def test_must_have_a_name_that_can_be_one(self):
        for label in ("", "\0", "x" * 129):
            with pytest.raises(InvalidRequest):
                checked([{"predicted": label}], GROWING)


class TestTheValueOfARegression:
    def test_has_either_name(self):
        rows = [{"predicted": 1.5}, {"score": 2.5}, {"predicted": 3, "score": 3.0}]
        found = checked(rows, REGRESSION)
        assert found.score.tolist() == [1.5, 2.5, 3]
        assert found.predicted.tolist() == [0, 0, 0]

    def test_is_one_that_the_sums_can_hold(self):
        assert checked([{"score": 1e6}, {"score": -1e30}], REGRESSION).score.tolist() == [1e6, -1e30]
        with pytest.raises(InvalidRequest) as refusal:
            checked([{"score": 1e6}, {"score": 1e300}], REGRESSION)
        assert [(p.pointer, p.code) for p in refusal.value.places] == [("/predictions/1/score", "out_of_range")]
        with pytest.raises(InvalidRequest) as refusal:
            checked([{"score": 1e6}, {"predicted": -1e300}], REGRESSION)
        assert [(p.pointer, p.code) for p in refusal.value.places] == [("/predictions/1/predicted", "out_of_range")]
        with pytest.raises(InvalidRequest):
            labelled([{"actual": -1e31}], REGRESSION)


class TestAVersion:
    def test_left_out_is_the_models_default(self):
        facts = facts_of(default_version="2")
        rows = [{"score": 1}, {"score": 1, "version": "1"}, {"score": 1, "version": 2}]
        assert checked(rows, facts).version_no.tolist() == [12, 11, 12]


class TestATime:
    def test_left_out_is_the_receipt(self):
        assert checked([{"score": 1}], BINARY).predicted_at.tolist() == [NOW]

    def test_may_be_a_little_ahead(self):
        ahead = rfc3339(NOW + 5 * MINUTE)
        assert checked([{"score": 1, "timestamp": ahead}], BINARY).predicted_at.tolist() == [NOW + 5 * MINUTE]

    def test_may_be_as_old_as_what_is_kept(self):
        facts = facts_of(retention_days=1)
        assert len(checked([{"score": 1, "timestamp": "2026-03-01T12:00:00Z"}], facts)) == 1
        with pytest.raises(InvalidRequest):
            checked([{"score": 1, "timestamp": "2026-03-01T11:59:59.999999Z"}], facts)

    def test_of_a_label_may_be_of_any_age(self):
        assert len(labelled([{"actual": "1", "timestamp": "1999-12-31T23:59:59Z"}], BINARY)) == 1


class TestAText:
    @pytest.mark.parametrize("name", ["x" * 128, "é" * 128, "日本", "a b", "\u2028", "\x7f"])
    def test_of_an_id_may_be_anything_that_can_be_stored(self, name):
        assert checked([{"prediction_id": name, "score": 1}], BINARY).ids.tolist() == [name]
        assert checked([{"score": 1}, {"prediction_id": name, "score": 1}], BINARY).ids.tolist() == ["0", name]

    def test_of_a_category_may_have_lines_and_be_empty(self):
        assert checked(
            [{"score": 1, "features": {"note": "two\n\tlines"}}, {"score": 1, "features": {"note": ""}}], BINARY
        )

    @given(st.lists(st.text(max_size=140), min_size=1, max_size=20))
    @settings(max_examples=100, deadline=None)
    def test_is_judged_in_a_column_as_it_is_alone(self, ids):
        data = [name.encode(errors="replace") for name in ids]
        offsets = np.cumsum([0, *map(len, data)])
        batch = PredictionBatch(
            Text(b"".join(data), offsets),
            np.full(len(ids), NOW),
            Coded(np.full(len(ids), MISSING, np.int32), ()),
            None,
            np.full(len(ids), 0.5),
            None,
        )
        names = [name.decode() for name in data]
        wrong = [i for i, name in enumerate(names) if not 0 < len(name) <= 128 or min(name, default=" ") < " "]
        if not wrong:
            assert len(check_predictions(batch, BINARY, now_us=NOW)) == len(ids)
            return
        with pytest.raises(InvalidRequest) as refusal:
            check_predictions(batch, BINARY, now_us=NOW)
        assert [p.pointer for p in refusal.value.places] == [f"/predictions/{row}/prediction_id" for row in wrong]


class TestABatchFromElsewhere:
    """Other ways in, such as `/predict`, make batches themselves."""

    def test_is_held_to_the_declared_schema(self):
        facts = facts_of(schema={"amount": "number", "country": "category", "new": "boolean"})
        good = {
            "amount": Numbers(np.array([1.0])),
            "country": Coded(np.array([0], np.int32), ("DE",)),
            "new": Coded(np.array([1], np.int32), ("false", "true")),
        }
        assert check_predictions(self.batch(good), facts, now_us=NOW).features == good
        wrong = {"amount": good["country"], "country": good["amount"], "new": good["country"], "other": good["amount"]}
        with pytest.raises(InvalidRequest) as refusal:
            check_predictions(self.batch(wrong), facts, now_us=NOW)
        assert {(p.pointer.rsplit("/", 1)[1], p.code) for p in refusal.value.places} == {
            ("amount", "wrong_type"),
            ("country", "wrong_type"),
            ("new", "wrong_type"),
            ("other", "unknown_feature"),
        }

    @staticmethod
    def batch(features: dict[str, Any]) -> PredictionBatch:
        none = Coded(np.array([MISSING], np.int32), ())
        return PredictionBatch(
            Text(b"a", np.array([0, 1])), np.array([NOW]), none, None, np.array([0.5]), None, features
        )


class TestLabels:
    def test_are_class_indexes(self):
        found = labelled([{"actual": "dog"}, {"actual": "owl"}, {"actual": "dog"}], MULTICLASS)
        assert found.actual.tolist() == [1.0, 2.0, 1.0]
        assert found.new_classes == ()

    def test_may_be_new_classes(self):
        found = labelled([{"actual": "yak"}, {"actual": "cat"}], GROWING)
        assert (found.actual.tolist(), found.new_classes) == ([3.0, 0.0], ("yak",))

    def test_are_numbers_of_a_regression(self):
        assert labelled([{"actual": 1}, {"actual": -2.5}], REGRESSION).actual.tolist() == [1.0, -2.5]

    def test_tell_corrections(self):
        assert labelled([{"actual": 1, "correction": True}, {"actual": 1}], BINARY).correction.tolist() == [True, False]
        assert labelled([{"actual": 1, "correction": False}], BINARY).correction is None
