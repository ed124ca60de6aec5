"""The commands that docs/security.md and docs/operations.md give for their promises show what they say they do."""

import re
from pathlib import Path

import pytest

from app.cli import COMMANDS
from bench.__main__ import BENCHMARKS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("operations.md", "security.md", "howto/deploy.md", "howto/python-client.md")]
SHOWN = sorted(
    {span for page in PAGES for span in re.findall(r"`((?:\./dev|\.venv/bin/assay) [^`]+)`", page.read_text())}
)
MARKED = "\n".join(file.read_text() for file in [*ROOT.glob("tests/faults/*.py"), *ROOT.glob("tests/hostile/*.py")])
FAULTS = {name for names in re.findall(r"mark\.fault\(([^)]*)\)", MARKED) for name in re.findall(r'"(\w+)"', names)}
VERBS = set(re.findall(r"^(\w+)\)", (ROOT / "dev").read_text(), re.M))


def rows(page: str) -> list[str]:
    """Of the first table."""
    table = (ROOT / page).read_text().split("| --- |", 1)[1].split("\n\n", 1)[0]
    return [line for line in table.splitlines() if line.startswith("|")][1:]


@pytest.mark.parametrize("page", ["docs/operations.md", "docs/security.md"])
def test_every_promise_has_a_command(page: str) -> None:
    promises = rows(page)
    assert len(promises) > 10
    for row in promises:
        assert re.search(r"\| `(\./dev|\.venv/bin/assay) ", row), row


@pytest.mark.parametrize("command", SHOWN)
def test_every_command_has_something_to_run(command: str) -> None:
    program, verb, *words = command.split()
    if program != "./dev":
        assert verb in COMMANDS
        return
    assert verb in VERBS
    paths = [word for word in words if word.startswith("tests/")]
    assert all((ROOT / path).exists() for path in paths)
    if verb == "test":
        assert paths or not words
    if verb == "bench":
        assert set(words) <= set(BENCHMARKS)
    if "--only" in words:
        assert set(words[words.index("--only") + 1].split(",")) <= FAULTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_something(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
