"""A Parquet file as batches of columns. Loaded by name where one is read: pyarrow is optional and slow to import."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.cli.importing.errors import FileProblem
from app.cli.importing.table import Batch, Kind


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """Types are those of the file's schema; times become datetimes, naive ones where the column names no zone."""

    path: Path
    names: tuple[str, ...]
    unit: str = "row"

    @classmethod
    def open(cls, path: Path) -> "ParquetFile":
        try:
            return cls(path, tuple(pq.read_schema(path).names))
        except pa.ArrowInvalid as error:
            raise FileProblem(f"{path}: not a Parquet file: {error}") from error

    def survey(self) -> tuple[int, dict[str, Kind]]:
        schema = pq.read_schema(self.path)
        return pq.read_metadata(self.path).num_rows, {name: _kind(schema.field(name).type) for name in self.names}

    def batches(self, columns: Sequence[str], kinds: Mapping[str, Kind], start: int, size: int) -> Iterator[Batch]:
        """From row `start` on; `kinds` can turn numbers into text, not the other way."""
        with pq.ParquetFile(self.path) as file:
            first = 0
            for record in file.iter_batches(batch_size=size, columns=list(dict.fromkeys(columns))):
                part = record.slice(max(0, start - first))
                begin, first = max(first, start), first + record.num_rows
                if part.num_rows:
                    yield self._batch(part, kinds, begin)

    def _batch(self, record: Any, kinds: Mapping[str, Kind], first: int) -> Batch:
        columns = {name: _values(record.column(place), kinds[name]) for place, name in enumerate(record.schema.names)}
        return Batch(first, record.num_rows, columns, range(first + 1, first + record.num_rows + 1))


def _kind(of: Any) -> Kind:
    if pa.types.is_boolean(of):
        return Kind.BOOLEAN
    numeric = pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_decimal(of)
    return Kind.NUMBER if numeric else Kind.TEXT


def _values(column: Any, kind: Kind) -> list[Any]:
    """NaN counts as missing: it is how pandas writes a missing number."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    values: list[Any] = column.to_pylist()
    if pa.types.is_floating(column.type):
        values = [None if value is None or value != value else value for value in values]  # noqa: PLR0124  NaN
    if kind is Kind.TEXT and not (pa.types.is_string(column.type) or pa.types.is_timestamp(column.type)):
        values = [None if value is None else str(value) for value in values]
    return values
