"""Parquet: types from its schema, rows from anywhere."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.cli.importing.errors import FileProblem
from app.cli.importing.parquetfile import ParquetFile
from app.cli.importing.table import Kind

ROWS = 25


@pytest.fixture
def table(tmp_path: Path) -> ParquetFile:
    rows = range(ROWS)
    columns = {
        "id": pa.array(rows, pa.int64()),
        "at": pa.array([row * 60 for row in rows], pa.timestamp("s", "UTC")),
        "local": pa.array(np.datetime64("2026-01-01T00:00", "ns") + np.arange(ROWS) * np.timedelta64(1, "m")),
        "score": pa.array([float("nan") if row == 1 else row / ROWS for row in rows]),
        "country": pa.array(["DE", None] * 12 + ["FR"]).dictionary_encode(),
        "new": pa.array([row % 2 == 0 for row in rows]),
    }
    file = tmp_path / "file.parquet"
    pq.write_table(pa.table(columns), file, row_group_size=10)
    return ParquetFile.open(file)


class TestParquetFile:
    def test_knows_its_kinds_and_rows(self, table: ParquetFile) -> None:
        kinds = {
            "id": Kind.NUMBER,
            "at": Kind.TEXT,
            "local": Kind.TEXT,
            "score": Kind.NUMBER,
            "country": Kind.TEXT,
            "new": Kind.BOOLEAN,
        }
        assert table.survey() == (ROWS, kinds)

    def test_reads_values_as_they_are_sent(self, table: ParquetFile) -> None:
        _, kinds = table.survey()
        batch = next(iter(table.batches(table.names, {**kinds, "id": Kind.TEXT}, 0, 3)))
        assert batch.columns["id"] == ["0", "1", "2"]
        assert batch.columns["at"][1] == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
        assert batch.columns["local"][1] == datetime(2026, 1, 1, 0, 1)  # noqa: DTZ001  `--timezone` says which
        assert batch.columns["score"] == [0.0, None, 2 / ROWS]  # NaN is how pandas writes a missing number
        assert batch.columns["country"] == ["DE", None, "DE"]
        assert batch.columns["new"] == [True, False, True]

    @pytest.mark.parametrize("start", [0, 3, 10, 24, 25])
    def test_goes_on_at_any_row(self, table: ParquetFile, start: int) -> None:
        _, kinds = table.survey()
        batches = list(table.batches(["id"], kinds, start, 4))
        assert [value for batch in batches for value in batch.columns["id"]] == list(range(start, ROWS))
        assert [line for batch in batches for line in batch.lines] == list(range(start + 1, ROWS + 1))
        if batches:
            assert batches[0].first == start

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "file.parquet"
        file.write_text("id,score\n")
        with pytest.raises(FileProblem, match="not a Parquet file"):
            ParquetFile.open(file)
