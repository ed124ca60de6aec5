"""What is wrong with a body is said with its place; nothing of it is kept."""

import json

import pytest

from app.core.errors import InvalidRequest, Problem, UnsupportedMediaType
from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.decoding.decode import JSON, NDJSON, decode_labels, decode_predictions
from app.tracking.decoding.errors import MalformedBody, TooManyRows
from app.tracking.decoding.rules import check_labels, check_predictions
from tests.support.bodies import FORMS, NOW, as_columns, as_lines, as_rows, facts_of

GOOD = {"prediction_id": "good", "score": 0.5}
LABEL = {"prediction_id": "good", "actual": "1"}
SCHEMA = {"amount": "number", "country": "category", "new": "boolean"}
FACTS = {
    Task.BINARY: facts_of(),
    Task.MULTICLASS: facts_of(Task.MULTICLASS),
    Task.REGRESSION: facts_of(Task.REGRESSION),
}
DECLARED = facts_of(schema=SCHEMA)


def take(body: bytes, content_type: str, noun: str, facts: ModelFacts, *, imported: bool = False) -> None:
    """Decodes and checks."""
    terms = {"now_us": NOW, "max_rows": 50_000}
    if noun == "labels":
        labels = decode_labels(body, content_type, facts, **terms, imported=imported)
        check_labels(labels, facts, now_us=NOW)
    else:
        predictions = decode_predictions(body, content_type, facts, **terms, imported=imported)
        check_predictions(predictions, facts, now_us=NOW)


def refused(
    body: bytes, content_type: str, facts: ModelFacts, noun: str = "predictions", *, imported: bool = False
) -> list[tuple[str, str]]:
    """Pointers and codes of what decoding and the rules find."""
    with pytest.raises(InvalidRequest) as refusal:
        take(body, content_type, noun, facts, imported=imported)
    return [(place.pointer, place.code) for place in refusal.value.places]


def label_refused(body: bytes, content_type: str, facts: ModelFacts) -> list[tuple[str, str]]:
    return refused(body, content_type, facts, "labels")


# a row that is wrong, where, why
ROWS = [
    ({"prediction_id": "a", "score": True}, "score", "wrong_type"),  # true is not 1
    ({"prediction_id": "a", "score": "0.5"}, "score", "wrong_type"),
    ({"prediction_id": "a", "score": [0.5]}, "score", "wrong_type"),
    ({"prediction_id": "a", "score": float("nan")}, "score", "not_finite"),
    ({"prediction_id": "a", "score": float("-inf")}, "score", "not_finite"),
    ({"prediction_id": "a", "score": 10**400}, "score", "not_finite"),
    ({"prediction_id": "a", "score": 1.01}, "score", "out_of_range"),
    ({"prediction_id": "a", "score": -0.01}, "score", "out_of_range"),
    ({"prediction_id": "a"}, "predicted", "missing"),
    ({"prediction_id": "a", "score": None}, "predicted", "missing"),
    ({"prediction_id": "a", "predicted": "maybe"}, "predicted", "unknown_class"),
    ({"prediction_id": "a", "predicted": 1.0}, "predicted", "wrong_type"),  # a class is not a decimal fraction
    ({"prediction_id": "a", "predicted": {}}, "predicted", "wrong_type"),
    ({"score": 0.5}, "prediction_id", "missing"),
    ({"prediction_id": None, "score": 0.5}, "prediction_id", "missing"),
    ({"prediction_id": 7, "score": 0.5}, "prediction_id", "wrong_type"),
    ({"prediction_id": "", "score": 0.5}, "prediction_id", "empty"),
    ({"prediction_id": "x" * 129, "score": 0.5}, "prediction_id", "too_long"),
    ({"prediction_id": "é" * 129, "score": 0.5}, "prediction_id", "too_long"),
    ({"prediction_id": "a\0", "score": 0.5}, "prediction_id", "control_character"),
    ({"prediction_id": "a\n", "score": 0.5}, "prediction_id", "control_character"),
    ({"prediction_id": "a\ud800", "score": 0.5}, "prediction_id", "surrogate"),
    ({"prediction_id": "a", "score": 0.5, "timestamp": "yesterday"}, "timestamp", "not_a_timestamp"),
    ({"prediction_id": "a", "score": 0.5, "timestamp": 1772452800000}, "timestamp", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "timestamp": "2026-03-02T12:05:01Z"}, "timestamp", "future"),
    ({"prediction_id": "a", "score": 0.5, "timestamp": "2020-03-02T12:00:00Z"}, "timestamp", "expired"),
    ({"prediction_id": "a", "score": 0.5, "version": "9"}, "version", "unknown_version"),
    ({"prediction_id": "a", "score": 0.5, "version": True}, "version", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "version": 1.5}, "version", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "scores": {"0": 0.5, "1": 0.5}}, "scores", "unknown_field"),
    ({"prediction_id": "a", "score": 0.5, "probability": 1}, "probability", "unknown_field"),
    ({"prediction_id": "a", "score": 0.5, "a/b~c": 1}, "a~1b~0c", "unknown_field"),
    ({"prediction_id": "a", "score": 0.5, "features": [1]}, "features", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "features": {"x": {}}}, "features/x", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "features": {"x": [1]}}, "features/x", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "features": {"x": float("inf")}}, "features/x", "not_finite"),
    ({"prediction_id": "a", "score": 0.5, "features": {"x": "a\0"}}, "features/x", "control_character"),
    ({"prediction_id": "a", "score": 0.5, "features": {"x": "a\udfff"}}, "features/x", "surrogate"),
    ({"prediction_id": "a", "score": 0.5, "features": {"x\ud800": 1}}, "features/x\\ud800", "surrogate"),
    ({"prediction_id": "a", "score": 0.5, "segment": {"x\ud800": "y"}}, "segment/x\\ud800", "surrogate"),
    ({"prediction_id": "a", "score": 0.5, "features": {"x": "a" * 1025}}, "features/x", "too_long"),
    ({"prediction_id": "a", "score": 0.5, "features": {"": 1}}, "features/", "empty"),
    ({"prediction_id": "a", "score": 0.5, "features": {"x\0": 1}}, "features/x\0", "control_character"),
    ({"prediction_id": "a", "score": 0.5, "segment": {"channel": 1.5}}, "segment/channel", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "segment": {"channel": ""}}, "segment/channel", "empty"),
    ({"prediction_id": "a", "score": 0.5, "segment": {"channel": "w" * 65}}, "segment/channel", "too_long"),
    ({"prediction_id": "a", "score": 0.5, "segment": {"c" * 65: "w"}}, "segment/" + "c" * 65, "too_long"),
    ({"prediction_id": "a", "score": 0.5, "segment": {f"k{i}": "v" for i in range(9)}}, "segment", "too_many"),
    ({"prediction_id": "a", "score": 0.5, "segment": {"a:b": "c"}}, "segment/a:b", "colon"),  # else a's "b:c"
    ({"prediction_id": "a", "score": 0.5, "segment": {"a": "__other__"}}, "segment/a", "reserved"),
    ({"prediction_id": "a", "score": 0.5, "segment": "web"}, "segment", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "subject": 5}, "subject", "wrong_type"),
    ({"prediction_id": "a", "score": 0.5, "subject": "s" * 129}, "subject", "too_long"),
]
NAMES = [f"{place}-{code}-{number}" for number, (_, place, code) in enumerate(ROWS)]


class TestARowThatIsWrong:
    @pytest.mark.parametrize(("row", "place", "code"), ROWS, ids=NAMES)
    def test_is_pointed_at_among_rows(self, row, place, code):
        assert refused(*as_rows([GOOD, row, GOOD]), FACTS[Task.BINARY]) == [(f"/predictions/1/{place}", code)]

    @pytest.mark.parametrize(("row", "place", "code"), ROWS, ids=NAMES)
    def test_is_pointed_at_among_lines(self, row, place, code):
        assert refused(*as_lines([GOOD, row, GOOD]), FACTS[Task.BINARY]) == [(f"/1/{place}", code)]

    @pytest.mark.parametrize(("row", "place", "code"), ROWS, ids=NAMES)
    def test_is_pointed_at_in_its_column(self, row, place, code):
        if code == "unknown_field" or (code == "wrong_type" and place in {"features", "segment"}):
            return  # a whole column: see TestAColumnThatIsWrong
        assert refused(*as_columns([GOOD, row, GOOD]), FACTS[Task.BINARY]) == [(f"/columns/{place}/1", code)]

    def test_does_not_hide_the_others(self):
        rows = [GOOD, {"prediction_id": "a", "score": "x"}, {"prediction_id": "b", "score": 2}, {"score": 0.1}]
        assert refused(*as_rows(rows), FACTS[Task.BINARY]) == [
            ("/predictions/1/score", "wrong_type"),
            ("/predictions/2/score", "out_of_range"),
            ("/predictions/3/prediction_id", "missing"),
        ]

    def test_is_listed_with_the_first_hundred(self):
        rows = [{"prediction_id": "a", "score": 2, "timestamp": "x"} if row % 2 else GOOD for row in range(1000)]
        places = refused(*as_rows(rows), FACTS[Task.BINARY])
        assert places == [(f"/predictions/{row}/timestamp", "not_a_timestamp") for row in range(1, 200, 2)]

    def test_is_named_as_the_client_names_it(self):
        assert refused(*as_rows([{"sample_id": "", "score": 1}]), FACTS[Task.BINARY]) == [
            ("/predictions/0/sample_id", "empty")
        ]

    @pytest.mark.parametrize("row", ["text", 5, None, [], True])
    def test_may_be_no_object_at_all(self, row):
        assert refused(*as_rows([GOOD, row]), FACTS[Task.BINARY]) == [("/predictions/1", "wrong_type")]
        assert refused(*as_lines([GOOD, row]), FACTS[Task.BINARY]) == [("/1", "wrong_type")]

    def test_may_be_a_line_that_is_no_json(self):
        body = json.dumps(GOOD).encode() + b'\n{"prediction_id": \n' + json.dumps(GOOD).encode()
        assert refused(body, NDJSON, FACTS[Task.BINARY]) == [("/1", "malformed")]

    def test_does_not_give_an_id_twice(self):
        row = {"prediction_id": "a", "sample_id": "b", "score": 1}
        assert refused(*as_rows([row]), FACTS[Task.BINARY]) == [("/predictions/0/prediction_id", "contradiction")]

    def test_needs_a_time_that_is_not_to_come_in_an_import(self):
        rows = [GOOD, {**GOOD, "timestamp": "2026-03-02T12:00:01Z"}, {**GOOD, "timestamp": "2026-03-02T12:00:00Z"}]
        assert refused(*as_rows(rows, **{"import": True}), FACTS[Task.BINARY]) == [
            ("/predictions/0/timestamp", "missing"),
            ("/predictions/1/timestamp", "future"),
        ]
        assert refused(*as_lines([GOOD]), FACTS[Task.BINARY], imported=True) == [("/0/timestamp", "missing")]


class TestScoresThatAreWrong:
    @pytest.mark.parametrize(
        ("scores", "place", "code"),
        [
            ({"cat": 0.5, "dog": 0.4}, "scores", "sum"),
            ({"cat": 0.5, "dog": 0.500002}, "scores", "sum"),
            ({"cat": 1.5, "dog": -0.5}, "scores/cat", "out_of_range"),
            ({"cat": 0.5, "cow": 0.5}, "scores/cow", "unknown_class"),
            ({"cat": "1", "dog": 0}, "scores/cat", "wrong_type"),
            ({}, "predicted", "missing"),
            ({"cat": None}, "predicted", "missing"),
        ],
    )
    def test_are_pointed_at(self, scores, place, code):
        rows = [{"prediction_id": "a", "scores": {"owl": 1}}, {"prediction_id": "b", "scores": scores}]
        assert (f"/predictions/1/{place}", code) in refused(*as_rows(rows), FACTS[Task.MULTICLASS])

    def test_are_not_a_score(self):
        rows = [{"prediction_id": "a", "score": 0.9, "predicted": "cat"}]
        assert refused(*as_rows(rows), FACTS[Task.MULTICLASS]) == [("/predictions/0/score", "unknown_field")]


class TestAValueThatIsWrong:
    @pytest.mark.parametrize(
        ("row", "code"),
        [
            ({}, "missing"),
            ({"predicted": "5"}, "wrong_type"),
            ({"predicted": True}, "wrong_type"),
            ({"predicted": 5, "score": 6}, "contradiction"),
            ({"predicted": float("nan")}, "not_finite"),
        ],
    )
    def test_is_pointed_at(self, row, code):
        for form, pointer in ((as_rows, "/predictions/0/predicted"), (as_columns, "/columns/predicted/0")):
            found = refused(*form([{"prediction_id": "a", **row}]), FACTS[Task.REGRESSION])
            assert found == [(pointer, code)]


class TestAFeatureThatBreaksTheSchema:
    @pytest.mark.parametrize(
        ("features", "place", "code"),
        [
            ({"amount": "12"}, "amount", "wrong_type"),
            ({"amount": True}, "amount", "wrong_type"),
            ({"country": 49}, "country", "wrong_type"),
            ({"country": True}, "country", "wrong_type"),
            ({"new": 1}, "new", "wrong_type"),
            ({"new": "true"}, "new", "wrong_type"),
            ({"amuont": 12}, "amuont", "unknown_feature"),
        ],
    )
    def test_is_pointed_at(self, features, place, code):
        rows = [{**GOOD, "features": {"amount": 1, "country": "DE", "new": False}}, {**GOOD, "features": features}]
        assert refused(*as_rows(rows), DECLARED) == [(f"/predictions/1/features/{place}", code)]
        assert refused(*as_columns(rows), DECLARED) == [(f"/columns/features/{place}/1", code)]

    def test_must_not_mix_its_kinds_where_none_is_declared(self):
        rows = [{**GOOD, "features": {"x": 1}}, {**GOOD, "features": {"x": "1"}}, {**GOOD, "features": {"x": True}}]
        assert refused(*as_rows(rows), FACTS[Task.BINARY]) == [
            ("/predictions/1/features/x", "wrong_type"),
            ("/predictions/2/features/x", "wrong_type"),
        ]


class TestAColumnThatIsWrong:
    @pytest.mark.parametrize(
        ("columns", "place", "code"),
        [
            ({"prediction_id": ["a", "b"], "score": [0.5]}, "score", "wrong_length"),
            ({"prediction_id": ["a"], "score": [0.5], "features": {"x": [1, 2]}}, "features/x", "wrong_length"),
            ({"prediction_id": ["a"], "score": 0.5}, "score", "wrong_type"),
            ({"prediction_id": ["a"], "score": [0.5], "features": [1]}, "features", "wrong_type"),
            ({"prediction_id": ["a"], "score": [0.5], "segment": {"channel": "web"}}, "segment/channel", "wrong_type"),
            ({"prediction_id": ["a"], "score": [0.5], "weight": [1]}, "weight", "unknown_field"),
            ({"prediction_id": "a", "score": [0.5]}, "prediction_id", "missing"),
            ({"score": [0.5]}, "prediction_id", "missing"),
        ],
    )
    def test_is_pointed_at(self, columns, place, code):
        body = json.dumps({"columns": columns}).encode()
        assert refused(body, JSON, FACTS[Task.BINARY]) == [(f"/columns/{place}", code)]


class TestABodyThatIsWrong:
    @pytest.mark.parametrize(
        ("body", "pointer", "code"),
        [
            ({"predictions": []}, "/predictions", "empty"),
            ({"columns": {"prediction_id": [], "score": []}}, "/columns", "empty"),
            ({"predictions": {}}, "/predictions", "wrong_type"),
            ({"columns": []}, "/columns", "wrong_type"),
            ({}, "/predictions", "missing"),
            ([], "", "wrong_type"),
            ("text", "", "wrong_type"),
            ({"predictions": [GOOD], "extra": 1}, "/extra", "unknown_field"),
            ({"predictions": [GOOD], "import": 1}, "/import", "wrong_type"),
            ({"predictions": [GOOD], "version": 1.5}, "/version", "wrong_type"),
        ],
    )
    def test_is_told_what_is_wrong(self, body, pointer, code):
        assert refused(json.dumps(body).encode(), JSON, FACTS[Task.BINARY]) == [(pointer, code)]

    @pytest.mark.parametrize("form", FORMS)
    def test_has_too_many_rows(self, form):
        with pytest.raises(TooManyRows) as refusal:
            decode_predictions(*FORMS[form]([GOOD] * 11), FACTS[Task.BINARY], now_us=NOW, max_rows=10)
        assert refusal.value.members == {"limit": 10}

    @pytest.mark.parametrize(
        "content_type",
        ["text/csv", "multipart/form-data", "application/json; charset=utf-16", "application/xml", "application/*"],
    )
    def test_is_of_another_type(self, content_type):
        with pytest.raises(UnsupportedMediaType):
            decode_predictions(as_rows([GOOD])[0], content_type, FACTS[Task.BINARY], now_us=NOW, max_rows=10)

    @pytest.mark.parametrize(
        "content_type", ["application/json", "APPLICATION/JSON; charset=UTF-8", "", "application/json;charset=utf-8"]
    )
    def test_is_not_refused_for_how_its_type_is_written(self, content_type):
        assert len(decode_predictions(as_rows([GOOD])[0], content_type, FACTS[Task.BINARY], now_us=NOW, max_rows=10))


class TestALabelThatIsWrong:
    @pytest.mark.parametrize(
        ("row", "place", "code"),
        [
            ({"prediction_id": "a"}, "actual", "missing"),
            ({"prediction_id": "a", "actual": None}, "actual", "missing"),
            ({"prediction_id": "a", "actual": "2"}, "actual", "unknown_class"),
            ({"prediction_id": "a", "actual": 1.0}, "actual", "wrong_type"),
            ({"actual": "1"}, "prediction_id", "missing"),
            ({"prediction_id": "a\t", "actual": "1"}, "prediction_id", "control_character"),
            ({"prediction_id": "a", "actual": "1", "correction": 1}, "correction", "wrong_type"),
            ({"prediction_id": "a", "actual": "1", "timestamp": "2026-03-02T12:05:01Z"}, "timestamp", "future"),
            ({"prediction_id": "a", "actual": "1", "score": 1}, "score", "unknown_field"),
        ],
    )
    def test_is_pointed_at(self, row, place, code):
        assert label_refused(*as_rows([LABEL, row], "labels"), FACTS[Task.BINARY]) == [(f"/labels/1/{place}", code)]
        assert label_refused(*as_lines([LABEL, row], "labels"), FACTS[Task.BINARY]) == [(f"/1/{place}", code)]
        if code != "unknown_field":
            found = label_refused(*as_columns([LABEL, row], "labels"), FACTS[Task.BINARY])
            assert found == [(f"/columns/{place}/1", code)]

    @pytest.mark.parametrize(
        ("actual", "code"),
        [(None, "missing"), ("5", "wrong_type"), (False, "wrong_type"), (float("inf"), "not_finite")],
    )
    def test_of_a_regression_is_a_number(self, actual, code):
        rows = [{"prediction_id": "a", "actual": actual}]
        assert label_refused(*as_rows(rows, "labels"), FACTS[Task.REGRESSION]) == [("/labels/0/actual", code)]

    def test_needs_a_time_that_is_not_to_come_in_an_import(self):
        rows = [LABEL, {**LABEL, "timestamp": "2026-03-02T12:00:01Z"}]
        assert label_refused(*as_columns(rows, "labels", **{"import": True}), FACTS[Task.BINARY]) == [
            ("/columns/timestamp/0", "missing"),
            ("/columns/timestamp/1", "future"),
        ]


GARBAGE = [
    b"",
    b" ",
    b"{",
    b'{"predictions": [',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5}]} trailing',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5},]}',
    b"{'predictions': []}",
    b"\xef\xbb\xbf" + as_rows([GOOD])[0],  # a byte order mark
    as_rows([GOOD])[0].decode().encode("utf-16"),
    as_rows([GOOD])[0].decode().encode("utf-32"),
    b'{"predictions": [{"prediction_id": "\xff", "score": 0.5}]}',
    b'{"predictions": [{"prediction_id": "\xed\xa0\x80", "score": 0.5}]}',  # a surrogate in bytes
    b'{"predictions": [{"prediction_id": "a\0", "score": 0.5}]}',  # a control character that is not escaped
    b'{"predictions": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"predictions": [{"features": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}]}",
    b"[" * 1_000_000,
    b'{"predictions": [{"prediction_id": "a", "score": ' + b"1" * 5_000 + b"}]}",
    b'{"predictions": [{"prediction_id": "a", "score": 1e400}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0x1}]}',
    b'{"predictions": [{"prediction_id": "a", "score": NaN}]}',
    b'{"predictions": [{"prediction_id": "a", "unknown": NaN}]}',
    b'{"predictions": [{"prediction_id": "\\ud800", "score": 0.5}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "\\ud800": 1}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "features": {"\\ud800": 1}}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "segment": {"\\udfff": "x"}}]}',
    b'{"predictions": [{"prediction_id": "a", "predicted": "\\ud800"}]}',
    b'{"predictions": [{"prediction_id": "a", "score": 0.5, "version": "\\ud800"}]}',
    b'{"predictions": [{"prediction_id": "a", "predicted": ' + b"9" * 4_000 + b"}]}",
    b'{"version": NaN, "predictions": [{"prediction_id": "a", "score": 0.5}]}',
    json.dumps({"predictions": [{**GOOD, "features": {f"f{i}": 1 for i in range(1_001)}}]}).encode(),
    json.dumps({"predictions": [{**GOOD, "features": {f"f{i}": 1}} for i in range(2_000)]}).encode(),
    json.dumps({"predictions": [{f"k{i}": 1 for i in range(50_000)}]}).encode(),
    json.dumps({"columns": {"prediction_id": ["a"], **{f"k{i}": [1] for i in range(5_000)}}}).encode(),
    json.dumps({"predictions": [{"prediction_id": "x" * 1_000_000, "score": 0.5}]}).encode(),
    json.dumps({"predictions": [{**GOOD, "x" * 1_000_000: 1}]}).encode(),
]


class TestAHostileBody:
    @pytest.mark.parametrize("content_type", [JSON, NDJSON, "application/vnd.apache.arrow.stream"])
    @pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
    @pytest.mark.parametrize("schema", [{}, SCHEMA], ids=["open", "declared"])
    def test_is_refused_in_words_that_can_be_sent(self, body, content_type, schema):
        for noun in ("predictions", "labels"):
            with pytest.raises(Problem) as refusal:
                take(body.replace(b"predictions", noun.encode()), content_type, noun, facts_of(schema=schema))
            problem = refusal.value
            assert 400 <= problem.status < 500
            answer = json.dumps(
                [problem.detail, [(p.pointer, p.code, p.message) for p in problem.places]], ensure_ascii=False
            )
            assert len(answer.encode()) < 40_000

    def test_says_400_where_it_is_no_json(self):
        with pytest.raises(MalformedBody, match="not JSON"):
            take(b'{"predictions": [', JSON, "predictions", facts_of())

    @pytest.mark.parametrize(
        ("body", "code", "message"),
        [
            (b'{"predictions": ' + b"[" * 100_000, "too_deep", "nested too deeply"),
            (b'{"predictions": [{"prediction_id": "\xff"}]}', "not_utf8", "the body is not UTF-8 (byte 36)"),
            ('{"predictions": []}'.encode("utf-16"), "not_utf8", "the body is not UTF-8 (byte 0)"),
            (b'{"predictions": [}', "json_invalid", "JSON is malformed: invalid character (byte 17)"),
        ],
    )
    def test_says_why_in_words_of_ours(self, body, code, message):
        with pytest.raises(MalformedBody) as refusal:
            take(body, JSON, "predictions", facts_of())
        (place,) = refusal.value.places
        assert (place.pointer, place.code, place.message) == ("", code, message)

    def test_with_a_repeated_key_means_the_last(self):
        body = b'{"predictions": [{"prediction_id": "a", "prediction_id": "b", "score": 0.1, "score": 0.9}]}'
        batch = decode_predictions(body, JSON, facts_of(), now_us=NOW, max_rows=1)
        assert (batch.ids.tolist(), batch.score.tolist()) == (["b"], [0.9])

    def test_of_many_rows_that_are_all_wrong_is_refused_quickly(self):
        rows = [
            {"prediction_id": f"{i}", "predicted": f"class {i}", "features": {"x": f"\0{i}"}} for i in range(20_000)
        ]
        places = refused(*as_rows(rows), facts_of())
        assert len(places) == 100
        assert places[0] == ("/predictions/0/features/x", "control_character")
