"""CSV as it comes: dialects, quoted line breaks, missing values; what is wrong has a line and a column."""

from pathlib import Path

import pytest

from app.cli.importing.csvfile import CsvFile
from app.cli.importing.errors import FileProblem
from app.cli.importing.table import Batch, Kind


def written(tmp_path: Path, text: str) -> CsvFile:
    file = tmp_path / "file.csv"
    file.write_bytes(text.encode())
    return CsvFile.open(file)


def read(table: CsvFile, start: int = 0, size: int = 100, **kinds: Kind) -> list[Batch]:
    _, surveyed = table.survey()
    return list(table.batches(table.names, {**surveyed, **kinds}, start, size))


class TestDialects:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_the_header_tells_the_delimiter(self, tmp_path: Path, delimiter: str) -> None:
        table = written(tmp_path, f"id{delimiter}score\na{delimiter}0.5\n")
        assert table.names == ("id", "score")
        assert read(table)[0].columns == {"id": ["a"], "score": [0.5]}

    def test_a_byte_order_mark_and_windows_line_ends_are_no_content(self, tmp_path: Path) -> None:
        table = written(tmp_path, "\ufeffid,score\r\na,0.5\r\n")
        assert read(table)[0].columns == {"id": ["a"], "score": [0.5]}

    def test_quoted_delimiters_and_line_breaks_are_content(self, tmp_path: Path) -> None:
        table = written(tmp_path, 'id,note\na,"one, two\nthree"\nb,four\n')
        (batch,) = read(table)
        assert batch.columns["note"] == ["one, two\nthree", "four"]
        assert list(batch.lines) == [2, 4]  # where each row begins


class TestKinds:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            (("1", "2.5", "-3e2"), Kind.NUMBER),
            (("1", "", "NA"), Kind.NUMBER),  # missing ones say nothing
            (("true", "False"), Kind.BOOLEAN),
            (("1", "two"), Kind.TEXT),
            (("1", "inf"), Kind.TEXT),  # no number that the tracker could take
            (("1_000",), Kind.TEXT),  # Python would read it, nobody else
            (("", ""), Kind.NUMBER),
        ],
    )
    def test_all_values_decide(self, tmp_path: Path, values: tuple[str, ...], kind: Kind) -> None:
        table = written(tmp_path, "id,x\n" + "".join(f"r,{value}\n" for value in values))
        assert table.survey() == (len(values), {"id": Kind.TEXT, "x": kind})

    def test_a_column_can_be_told_to_be_text(self, tmp_path: Path) -> None:
        table = written(tmp_path, "id,zip\na,01234\n")
        assert read(table, zip=Kind.TEXT)[0].columns["zip"] == ["01234"]


class TestReading:
    def test_goes_on_at_any_row(self, tmp_path: Path) -> None:
        table = written(tmp_path, "id\n" + "".join(f"r{row}\n" for row in range(10)))
        batches = read(table, start=3, size=4)
        assert [(batch.first, batch.n) for batch in batches] == [(3, 4), (7, 3)]
        assert batches[0].columns["id"] == ["r3", "r4", "r5", "r6"]
        assert list(batches[1].lines) == [9, 10, 11]


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("id,x\na,1\nb\n", r"file.csv:3: 1 fields, but the header names 2"),
            ("id,id\na,b\n", "two columns have the same name"),
            ("id,\na,b\n", "must name every column"),
            ("", "must name every column"),
            ('id,x\na,"1\n', r"file.csv:2: unexpected end of data"),
        ],
    )
    def test_is_told_with_its_line(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(FileProblem, match=message):
            written(tmp_path, text).survey()

    def test_a_value_that_does_not_fit_is_told_with_its_column(self, tmp_path: Path) -> None:
        table = written(tmp_path, "id,score\na,0.5\nb,high\n")
        with pytest.raises(FileProblem, match=r"file\.csv:3: column 'score': 'high' is not a number"):
            read(table, score=Kind.NUMBER)

    def test_another_encoding_is_not_guessed(self, tmp_path: Path) -> None:
        file = tmp_path / "file.csv"
        file.write_bytes("id,name\na,Müller\n".encode("latin-1"))
        with pytest.raises(FileProblem, match="not UTF-8"):
            CsvFile.open(file).survey()
