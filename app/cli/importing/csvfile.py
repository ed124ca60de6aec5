"""A CSV file as batches of columns: its dialect from the header line, its types from all of its values."""

import csv
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.importing.errors import FileProblem
from app.cli.importing.table import Batch, Kind

DELIMITERS = ",;\t|"
MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})  # as pandas, R and SQL write "no value"
_BOOLEANS = {"true": True, "false": False}
csv.field_size_limit(16 << 20)  # no field of a request may be longer than its body


@dataclass(frozen=True, slots=True)
class CsvFile:
    """`names` in the order of the header."""

    path: Path
    delimiter: str
    names: tuple[str, ...]
    unit: str = "line"

    @classmethod
    def open(cls, path: Path) -> "CsvFile":
        with path.open(newline="", encoding="utf-8-sig") as lines:
            try:
                first = next(lines, "")
            except UnicodeDecodeError as error:
                raise FileProblem(f"{path}:1: not UTF-8 text") from error
            delimiter = max(DELIMITERS, key=first.count)
            names = next(csv.reader(itertools.chain([first], lines), delimiter=delimiter), [])
        if not names or not all(names):
            raise FileProblem(f"{path}:1: the first line must name every column")
        if len(set(names)) < len(names):
            raise FileProblem(f"{path}:1: two columns have the same name")
        return cls(path, delimiter, tuple(names))

    def survey(self) -> tuple[int, dict[str, Kind]]:
        """How many rows there are, and of what kind each column is; reads the whole file."""
        rows = 0
        could = [{Kind.BOOLEAN, Kind.NUMBER} for _ in self.names]
        for _, row in self._rows():
            rows += 1
            for kinds, value in zip(could, row, strict=True):
                if kinds and value not in MISSING:
                    _narrow(kinds, value)
        return rows, {name: _kind(kinds) for name, kinds in zip(self.names, could, strict=True)}

    def batches(self, columns: Sequence[str], kinds: Mapping[str, Kind], start: int, size: int) -> Iterator[Batch]:
        """From row `start` (0-based, the header not counted) on."""
        places = [self.names.index(name) for name in columns]
        rows = itertools.islice(self._rows(), start, None)
        while part := list(itertools.islice(rows, size)):
            lines = [line for line, _ in part]
            values = {
                name: self._convert([row[place] for _, row in part], kinds[name], lines, name)
                for name, place in zip(columns, places, strict=True)
            }
            yield Batch(start, len(part), values, lines)
            start += len(part)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows with the number of the line they begin in."""
        with self.path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
            line = 1
            try:
                for row in reader:
                    if line > 1 and row:
                        self._must_fit(row, line)
                        yield line, row
                    line = reader.line_num + 1
            except csv.Error as error:
                raise FileProblem(f"{self.path}:{line}: {error}") from error
            except UnicodeDecodeError as error:
                raise FileProblem(f"{self.path}:{line}: not UTF-8 text here or a little further on") from error

    def _must_fit(self, row: Sequence[str], line: int) -> None:
        if len(row) != len(self.names):
            raise FileProblem(f"{self.path}:{line}: {len(row)} fields, but the header names {len(self.names)}")

    def _convert(self, texts: Sequence[str], kind: Kind, lines: Sequence[int], name: str) -> list[Any]:
        if kind is Kind.TEXT:
            return [text or None for text in texts]
        convert = _to_number if kind is Kind.NUMBER else _to_boolean
        values: list[Any] = []
        for text, line in zip(texts, lines, strict=True):
            try:
                values.append(None if text in MISSING else convert(text))
            except (ValueError, KeyError) as error:
                raise FileProblem(f"{self.path}:{line}: column {name!r}: {text[:60]!r} is not a {kind}") from error
        return values


def _narrow(kinds: set[Kind], text: str) -> None:
    if Kind.BOOLEAN in kinds and text.lower() not in _BOOLEANS:
        kinds.discard(Kind.BOOLEAN)
    if Kind.NUMBER in kinds:
        try:
            _to_number(text)
        except ValueError:
            kinds.discard(Kind.NUMBER)


def _kind(could: set[Kind]) -> Kind:
    """A column without any value could be everything and is taken for numbers: all of it is missing anyway."""
    return Kind.NUMBER if Kind.NUMBER in could else Kind.BOOLEAN if could else Kind.TEXT


def _to_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or "_" in text:
        raise ValueError(text)
    return number


def _to_boolean(text: str) -> bool:
    return _BOOLEANS[text.lower()]
