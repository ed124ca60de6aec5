"""Rows of a file as a request: times, classes, gaps."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from app.cli.importing.body import Target, body, kinds_to_read
from app.cli.importing.errors import FileProblem
from app.cli.importing.layout import Layout, Rows
from app.cli.importing.table import Batch, Kind

BINARY = Target("binary", ("0", "1"))
FILE = Path("file.csv")


def one(field: str, value: Any, target: Target = BINARY) -> Any:
    rows = Rows.LABELS if field == "actual" else Rows.PREDICTIONS
    layout = Layout(rows, {"prediction_id": "id", field: "x"})
    batch = Batch(0, 1, {"id": ["a"], "x": [value]}, [2])
    return body(batch, layout, target, FILE)["columns"][field][0]


class TestTimes:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),  # SQL and pandas; no zone is the one told, UTC here
            ("2026-01-02", "2026-01-02T00:00:00Z"),
            ("2026-01-02T03:04:05.25+0200", "2026-01-02T01:04:05.250000Z"),
            ("1767323045", "2026-01-02T03:04:05Z"),  # seconds since the epoch
            ("1767323045000", "2026-01-02T03:04:05Z"),  # milliseconds
            ("1767323045000000", "2026-01-02T03:04:05Z"),  # microseconds
            (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),  # Parquet
        ],
    )
    def test_are_read_as_people_write_them(self, written: Any, meant: str) -> None:
        assert one("timestamp", written) == meant

    def test_without_a_zone_mean_the_one_told(self) -> None:
        east = Target("binary", ("0", "1"), timezone(timedelta(hours=2)))
        assert one("timestamp", "2026-01-02 03:04:05", east) == "2026-01-02T01:04:05Z"
        assert one("timestamp", datetime(2026, 1, 2, 3, 4, 5), east) == "2026-01-02T01:04:05Z"  # noqa: DTZ001  Parquet

    @pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01", "12"])
    def test_that_are_none_are_told_with_line_and_column(self, wrong: str) -> None:
        with pytest.raises(FileProblem, match=rf"file.csv:2: column 'x': '{wrong}' is not a time"):
            one("timestamp", wrong)


class TestClasses:
    @pytest.mark.parametrize(
        ("written", "classes", "meant"),
        [
            ("1", ("0", "1"), "1"),
            ("1.0", ("0", "1"), "1"),  # pandas, where a label was missing somewhere
            ("True", ("0", "1"), "1"),
            ("True", ("false", "true"), "true"),
            ("bird", ("cat", "dog"), "bird"),  # the tracker's to refuse, or to add
        ],
    )
    def test_are_the_models_names(self, written: str, classes: tuple[str, ...], meant: str) -> None:
        assert one("actual", written, Target("binary", classes)) == meant

    def test_a_regression_has_numbers(self) -> None:
        layout = Layout(Rows.LABELS, {"prediction_id": "id", "actual": "x"})
        kinds = kinds_to_read(layout, {"id": Kind.NUMBER, "x": Kind.NUMBER}, Target("regression"))
        assert kinds == {"id": Kind.TEXT, "x": Kind.NUMBER}


class TestBody:
    def test_is_an_import_unless_the_rows_are_live(self) -> None:
        layout = Layout(Rows.PREDICTIONS, {"prediction_id": "id"})
        batch = Batch(0, 1, {"id": ["a"]}, [2])
        assert body(batch, layout, BINARY, FILE) == {"columns": {"prediction_id": ["a"]}, "import": True}
        live = Target("binary", backfill=False)
        assert body(batch, layout, live, FILE) == {"columns": {"prediction_id": ["a"]}}

    def test_leaves_out_what_no_row_has(self) -> None:
        layout = Layout(Rows.PREDICTIONS, {"prediction_id": "id", "score": "s"}, features={"x": "x", "y": "y"})
        batch = Batch(0, 2, {"id": ["a", "b"], "s": [None, None], "x": [1.0, None], "y": [None, None]}, [2, 3])
        assert body(batch, layout, BINARY, FILE)["columns"] == {
            "prediction_id": ["a", "b"],
            "features": {"x": [1.0, None]},
        }
