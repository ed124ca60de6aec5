"""Arrow streams: all the types a data frame writes are read, none of them is trusted."""

import random
import struct
import subprocess
import sys
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from app.core.errors import InvalidRequest, Problem, UnsupportedMediaType
from app.stats.tally import Task
from app.tracking.batch import MISSING, Coded, PredictionBatch
from app.tracking.decoding import decode
from app.tracking.decoding.decode import ARROW, decode_labels, decode_predictions
from app.tracking.decoding.errors import MalformedBody, TooManyRows
from app.tracking.decoding.rules import check_predictions
from tests.support.bodies import NOW, facts_of, stream

SECOND = 1_000_000


def read(columns: Any, task: Task = Task.BINARY, **options: Any) -> PredictionBatch:
    body = stream(columns if isinstance(columns, pa.Table) else pa.table(columns), **options)
    return decode_predictions(body, ARROW, facts_of(task), now_us=NOW, max_rows=1000)


def refused(columns: Any, task: Task = Task.BINARY) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refusal:
        check_predictions(read(columns, task), facts_of(task), now_us=NOW)
    return [(place.pointer, place.code) for place in refusal.value.places]


def status_of(body: bytes) -> int:
    """What becomes of a body: 200 where it is let in."""
    try:
        batch = decode_predictions(body, ARROW, facts_of(), now_us=NOW, max_rows=1000)
        check_predictions(batch, facts_of(), now_us=NOW)
    except Problem as problem:
        return problem.status
    return 200


def names(column: Coded | None) -> list[str | None]:
    assert column is not None
    return [None if code == MISSING else column.values[code] for code in column.codes.tolist()]


class TestAColumn:
    @pytest.mark.parametrize(
        "ids",
        [
            pa.array(["a", "é", "ccc"]),
            pa.array(["a", "é", "ccc"], pa.large_string()),
            pa.array(["a", "é", "ccc"], pa.string_view()),
            pa.array(["x", "a", "é", "ccc", "y"]).slice(1, 3),
            pa.chunked_array([["a"], ["é", "ccc"]]),
        ],
        ids=["string", "large", "view", "slice", "chunks"],
    )
    def test_of_ids_is_any_text(self, ids):
        assert read({"prediction_id": ids, "score": [0.1, 0.2, 0.3]}).ids.tolist() == ["a", "é", "ccc"]

    @pytest.mark.parametrize(
        ("times", "expected"),
        [
            (pa.array([5, None], pa.timestamp("s", "UTC")), 5 * SECOND),
            (pa.array([5000, None], pa.timestamp("ms", "UTC")), 5 * SECOND),
            (pa.array([5_000_001, None], pa.timestamp("us", "Europe/Berlin")), 5 * SECOND + 1),
            (pa.array([5_000_001_999, None], pa.timestamp("ns", "UTC")), 5 * SECOND + 1),  # cut off
            (pa.array([-1, None], pa.timestamp("ns", "+02:00")), -1),  # also before 1970
            (pa.array(["1970-01-01T00:00:05Z", None]), 5 * SECOND),
            (pa.array(["1970-01-01T01:00:05+01:00", None], pa.string_view()), 5 * SECOND),
        ],
    )
    def test_of_times_is_of_any_unit_or_text(self, times, expected):
        batch = read({"prediction_id": ["a", "b"], "score": [0.1, 0.2], "timestamp": times})
        assert batch.predicted_at.tolist() == [expected, NOW]

    @pytest.mark.parametrize(
        "kind", [pa.float16(), pa.float32(), pa.float64(), pa.int8(), pa.uint64(), pa.decimal128(5, 2)]
    )
    def test_of_numbers_is_of_any_width(self, kind):
        values = pa.array([1.0, None, 3.0]).cast(pa.float32()).cast(kind)
        batch = read({"prediction_id": ["a", "b", "c"], "score": [0.1] * 3, "features.x": values})
        assert repr(batch.features["x"].values.tolist()) == "[1.0, nan, 3.0]"
        assert batch.features["x"].valid.tolist() == [True, False, True]

    @pytest.mark.parametrize(
        "labels",
        [
            pa.array(["1", None, "0"]),
            pa.array([1, None, 0], pa.int8()),
            pa.array(["1", None, "0"]).dictionary_encode(),
            pa.array(["1", None, "0"], pa.string_view()),
            pa.DictionaryArray.from_arrays(pa.array([1, None, 2], pa.int8()), pa.array(["x", "1", "0", "1"])),
            pa.DictionaryArray.from_arrays(pa.array([1, 2, 0], pa.int8()), pa.array(["0", "1", None])),
        ],
        ids=["text", "integer", "dictionary", "view", "unused", "null inside"],
    )
    def test_of_classes_is_text_whole_numbers_or_a_dictionary(self, labels):
        batch = read({"prediction_id": ["a", "b", "c"], "score": [0.1] * 3, "predicted": labels})
        assert names(batch.predicted) == ["1", None, "0"]
        assert set(batch.predicted.values) == {"1", "0"}

    def test_of_a_dictionary_with_a_value_twice_has_it_once(self):
        twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["1", "1", "0"]))
        batch = read({"prediction_id": ["a", "b", "c"], "predicted": twice})
        assert batch.predicted.values == ("1", "0")

    def test_without_a_value_is_as_if_it_were_not_there(self):
        batch = read({"prediction_id": ["a"], "score": [0.1], "predicted": pa.nulls(1), "features.x": pa.nulls(1)})
        assert (batch.predicted, batch.features) == (None, {})

    def test_may_stand_in_a_struct_whose_rows_may_be_missing(self):
        structs = pa.array([{"x": 1.0, "y": "a"}, None, {"x": None, "y": "b"}])
        batch = read({"prediction_id": ["a", "b", "c"], "score": [0.1] * 3, "features": structs})
        assert repr(batch.features["x"].values.tolist()) == "[1.0, nan, nan]"
        assert names(batch.features["y"]) == ["a", None, "b"]

    def test_of_probabilities_is_named_after_its_class(self):
        columns = {"prediction_id": ["a", "b"], "scores.owl": [1.0, None], "scores.cat": [None, None]}
        batch = read({**columns, "predicted": ["owl", "cat"]}, Task.MULTICLASS)
        assert check_predictions(batch, facts_of(Task.MULTICLASS), now_us=NOW).scores[0].tolist() == [0, 0, 1]

    def test_is_put_together_from_all_batches_of_the_stream(self):
        schema = pa.schema([("prediction_id", pa.string()), ("predicted", pa.dictionary(pa.int8(), pa.string()))])
        parts = [
            pa.record_batch([["a"], pa.array(["1"]).dictionary_encode().cast(schema.field(1).type)], schema=schema),
            pa.record_batch([["b"], pa.array(["0"]).dictionary_encode().cast(schema.field(1).type)], schema=schema),
        ]
        batch = read(pa.Table.from_batches(parts))
        assert (batch.ids.tolist(), names(batch.predicted)) == (["a", "b"], ["1", "0"])


class TestAColumnThatIsWrong:
    @pytest.mark.parametrize(
        ("columns", "place", "code"),
        [
            ({"score": pa.array(["0.5"])}, "/score", "wrong_type"),
            ({"score": [True]}, "/score", "wrong_type"),
            ({"score": [float("nan")]}, "/score/0", "not_finite"),
            ({"score": [1.5]}, "/score/0", "out_of_range"),
            ({"predicted": [1.0]}, "/predicted", "wrong_type"),
            ({"predicted": ["2"]}, "/predicted/0", "unknown_class"),
            ({"predicted": ["2"], "score": [2.0]}, "/score/0", "out_of_range"),
            ({"score": [0.5], "timestamp": [1.5]}, "/timestamp", "wrong_type"),
            ({"score": [0.5], "timestamp": ["now"]}, "/timestamp/0", "not_a_timestamp"),
            (
                {"score": [0.5], "timestamp": pa.array([2**62], pa.timestamp("s", "UTC"))},
                "/timestamp/0",
                "not_a_timestamp",
            ),
            ({"score": [0.5], "timestamp": pa.array([5], pa.timestamp("us"))}, "/timestamp", "not_a_timestamp"),
            ({"score": [0.5], "timestamp": pa.array([5], pa.timestamp("us", ""))}, "/timestamp", "not_a_timestamp"),
            ({"score": [0.5], "features.x": [[1]]}, "/features/x", "wrong_type"),
            ({"score": [0.5], "features.x": [b"bytes"]}, "/features/x", "wrong_type"),
            ({"score": [0.5], "features": [5]}, "/features", "wrong_type"),
            ({"score": [0.5], "features.x": ["\0"]}, "/features/x/0", "control_character"),
            ({"score": [0.5], "features.x": [float("inf")]}, "/features/x/0", "not_finite"),
            ({"score": [0.5], "segment.channel": [1.5]}, "/segment/channel", "wrong_type"),
            ({"score": [0.5], "weight": [1]}, "/weight", "unknown_field"),
            ({"score": [0.5], "scores.cat": [1.0]}, "/scores.cat", "unknown_field"),
        ],
    )
    def test_is_pointed_at(self, columns, place, code):
        assert (place, code) in refused({"prediction_id": ["a"], **columns})

    def test_of_times_without_a_zone_is_told_how_to_get_one(self):
        """Wall-clock time is no instant (Arrow's `Schema.fbs`), and JSON takes none either."""
        naive = {"prediction_id": ["a"], "score": [0.5], "timestamp": [datetime(2026, 1, 1)]}  # noqa: DTZ001  the point
        with pytest.raises(InvalidRequest) as predictions:
            read(naive)
        body = stream(pa.table({"prediction_id": ["a"], "actual": ["1"], "timestamp": naive["timestamp"]}))
        with pytest.raises(InvalidRequest) as labels:
            decode_labels(body, ARROW, facts_of(), now_us=NOW, max_rows=10)
        for refusal in (predictions, labels):
            (place,) = refusal.value.places
            assert place.pointer == "/timestamp"
            assert "tz_localize" in place.message

    @pytest.mark.parametrize(
        ("ids", "place", "code"),
        [
            (["a", None], "/prediction_id/1", "missing"),
            (["a", ""], "/prediction_id/1", "empty"),
            (["a", "b\0"], "/prediction_id/1", "control_character"),
            ([1, 2], "/prediction_id", "wrong_type"),
            (pa.array(["a", "b"]).dictionary_encode(), "/prediction_id", "wrong_type"),
        ],
    )
    def test_holds_ids(self, ids, place, code):
        assert refused({"prediction_id": ids, "score": [0.1, 0.2]}) == [(place, code)]

    def test_is_there_twice(self):
        table = pa.Table.from_arrays([["a"], [0.5], [0.6]], names=["prediction_id", "score", "score"])
        assert refused(table) == [("/score", "repeated")]

    def test_is_not_there(self):
        assert refused({"score": [0.5]}) == [("/prediction_id", "missing")]
        with pytest.raises(InvalidRequest):
            decode_labels(stream(pa.table({"prediction_id": ["a"]})), ARROW, facts_of(), now_us=NOW, max_rows=10)


class TestAStream:
    def test_without_rows_is_refused(self):
        with pytest.raises(InvalidRequest):
            read({"prediction_id": pa.array([], pa.string()), "score": pa.array([], pa.float64())})

    @pytest.mark.parametrize("codec", ["lz4", "zstd"])
    @pytest.mark.parametrize("labels", [pa.array(["1"] * 500), pa.array(["1"] * 500).dictionary_encode()])
    def test_that_is_compressed_is_refused_unread(self, codec, labels):
        columns = {"prediction_id": ["a" * 40] * 500, "predicted": labels}
        with pytest.raises(MalformedBody, match="Compressed"):
            read(columns, compression=codec)

    def test_of_rows_that_cost_nothing_is_refused(self):
        rows = 1_000_003
        body = stream(pa.table({"prediction_id": pa.nulls(rows)}))
        claim = body.replace(struct.pack("<q", rows), struct.pack("<q", 2**40))
        with pytest.raises(TooManyRows):
            decode_predictions(claim, ARROW, facts_of(), now_us=NOW, max_rows=1000)

    def test_whose_views_share_their_bytes_is_refused(self):
        views = self.views(rows=1000, length=1 << 20)
        with pytest.raises(MalformedBody, match="views"):
            read({"prediction_id": [str(i) for i in range(1000)], "score": [0.5] * 1000, "features.x": views})

    @staticmethod
    def views(rows: int, length: int) -> pa.Array:
        """All rows look at the same megabyte."""
        text = b"a" * length
        view = struct.pack("<i4sii", length, text[:4], 0, 0)
        buffers = [None, pa.py_buffer(view * rows), pa.py_buffer(text)]
        return pa.Array.from_buffers(pa.string_view(), rows, buffers)

    def test_whose_dictionary_is_long_costs_what_its_rows_cost(self):
        dictionary = pa.array(["a" * 1000] + [f"{i}" for i in range(100_000)])
        codes = pa.array([0] * 1000, pa.int32())
        batch = read(
            {
                "prediction_id": [str(i) for i in range(1000)],
                "score": [0.5] * 1000,
                "features.x": pa.DictionaryArray.from_arrays(codes, dictionary),
            }
        )
        assert batch.features["x"].values == ("a" * 1000,)

    def test_that_is_damaged_anywhere_is_refused_or_read_but_never_believed(self):
        """Every flipped bit either shows, or leaves values that the rules can judge."""
        table = pa.table(
            {
                "prediction_id": ["a", "b", "ccc"],
                "score": [0.1, None, 0.3],
                "predicted": pa.array(["1", "0", "1"]).dictionary_encode(),
                "features.v": pa.array(["a long text to be viewed", None, "s"], pa.string_view()),
                "features": pa.array([{"x": 1.0, "y": "a"}, None, {"x": None, "y": "b"}]),
            }
        )
        body, chance = bytearray(stream(table)), random.Random(7)
        outcomes = []
        for _ in range(1500):
            at, bit = chance.randrange(len(body)), 1 << chance.randrange(8)
            body[at] ^= bit
            outcomes.append(status_of(bytes(body)))
            body[at] ^= bit
        assert set(outcomes) <= {200, 400, 413, 422}
        assert len(set(outcomes)) > 2

    @pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
    def test_that_is_cut_is_refused(self, share):
        body = stream(pa.table({"prediction_id": ["a"] * 100, "score": [0.5] * 100}))
        with pytest.raises(Problem) as refusal:
            decode_predictions(body[: int(len(body) * share)], ARROW, facts_of(), now_us=NOW, max_rows=1000)
        assert 400 <= refusal.value.status < 500


class TestWithoutArrow:
    def test_names_what_to_install(self, monkeypatch):
        decode._arrow.cache_clear()
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.setattr(decode, "find_spec", lambda name: None)
        with pytest.raises(UnsupportedMediaType, match=r"assay-tracker\[arrow\]"):
            decode_predictions(b"", ARROW, facts_of(), now_us=NOW, max_rows=10)
        decode._arrow.cache_clear()


class TestReading:
    def test_loads_no_pandas(self) -> None:
        """pyarrow would, behind the scenes, and the first Arrow request of a process would take seconds."""
        body = stream(
            pa.table(
                {
                    "prediction_id": ["a", "b"],
                    "timestamp": pa.array([NOW, None], pa.timestamp("us", "UTC")),
                    "score": [0.5, None],
                    "predicted": pa.array(["1", "0"]).dictionary_encode(),
                    "features": [{"amount": 1.0, "kind": "x", "on": True}, {"amount": None, "kind": None, "on": None}],
                }
            )
        )
        code = (
            "import sys; from app.tracking.decoding.decode import ARROW, decode_predictions; "
            "from tests.support.bodies import NOW, facts_of; loaded = 'pandas' in sys.modules; "
            "decode_predictions(sys.stdin.buffer.read(), ARROW, facts_of(), now_us=NOW, max_rows=9); "
            "print(loaded, 'pandas' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], input=body, capture_output=True, check=True)
        before, after = done.stdout.split()
        assert before == after
