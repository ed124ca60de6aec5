"""`docs/faults.md` names what the tests break, and where."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/faults.md").read_text()
MARKS = re.compile(r"mark\.fault\(([^)]*)\)")
NAME = re.compile(r"\b[FGT]\d+\b")


class TestPage:
    def test_names_every_fault_that_a_test_shows(self) -> None:
        shown = {
            name
            for path in (ROOT / "tests").rglob("test_*.py")
            for mark in MARKS.findall(path.read_text())
            for name in NAME.findall(mark)
        }
        assert len(shown) > 20
        assert shown - set(NAME.findall(PAGE)) == set()

    def test_names_files_that_are_there(self) -> None:
        rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "`" in line]
        named = [name for row in rows for name in re.findall(r"`([\w/.]+)`", row.rsplit("|", 2)[1])]
        assert len(named) > 15
        gone = [name for name in named if not ((ROOT / name).exists() or (ROOT / "tests/faults" / name).exists())]
        assert gone == []
