"""A file as the importer sees it, whatever its format."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Kind(StrEnum):
    """What the values of a column are sent as."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows `first` … `first + n - 1` of a file; None where a value is missing."""

    first: int
    n: int
    columns: Mapping[str, list[Any]]
    lines: Sequence[int]  # where each row begins: a line (CSV) or a row number (Parquet), counted from 1


class Table(Protocol):
    """A file with named columns that can be read from any row on."""

    @property
    def path(self) -> Path: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def unit(self) -> str:
        """What `Batch.lines` counts."""

    def survey(self) -> tuple[int, dict[str, Kind]]: ...
    def batches(self, columns: Sequence[str], kinds: Mapping[str, Kind], start: int, size: int) -> Iterator[Batch]: ...
