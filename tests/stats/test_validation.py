"""docs/validation.md: written from its record, complete, and three of its rows found again."""

import doctest
import random
import re
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.stats.simulations.registry import most
from tests.stats.validate import PROMISED, charts, checks, page
from tests.stats.validate.figures import DRAWN
from tests.stats.validate.record import FIGURES, PAGE, ROOT, Row, failed, read

CHECKS, RECORD = checks(), read()
QUICK_S = 4.0  # of CPU, for all forms of a row


def test_the_page_is_what_was_recorded() -> None:
    assert PAGE.read_text() == page.rendered(RECORD)


def test_every_check_has_a_row_that_holds() -> None:
    assert tuple(row.id for row in RECORD.rows) == PROMISED
    assert failed(RECORD.rows) == []


def test_three_rows_are_found_again() -> None:
    """Other rows at each run; in full if that takes seconds, else the short form that was recorded with it."""
    for row in random.sample(RECORD.rows, 3):
        found, wanted = again(row)
        assert found == pytest.approx(wanted, rel=1e-9), (
            f"what {row.id} tells has changed: ./dev validate --only {row.id}"
        )


def again(row: Row) -> tuple[float, float]:
    """The figure found now, and the one recorded."""
    check = CHECKS[row.id]
    assert (check.title, check.seed, check.replications) == (row.title, row.seed, row.replications)
    whole = row.seconds <= QUICK_S
    found = check.run(row.replications if whole else row.smoke_replications, np.random.default_rng(row.seed))
    return found.figure, row.figure if whole else row.smoke


def test_a_row_fails_by_its_own_figure_or_by_a_broken_variant_that_passes() -> None:
    first, second, third = RECORD.rows[:3]
    assert failed([replace(first, passed=False), replace(second, broken_rejected=False), third]) == ["V1", "V2"]


def test_the_verb_refuses_a_check_that_is_not_there() -> None:
    asked = [sys.executable, "-m", "tests.stats.validate", "--only", "V1,V99"]
    answer = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "no check V99" in answer.stderr


def test_every_figure_is_drawn_and_shown() -> None:
    shown = re.findall(r"\]\(figures/(\w+)\.svg\)", (ROOT / "docs/statistics.md").read_text())
    assert sorted(shown) == sorted(DRAWN) == sorted(path.stem for path in FIGURES.glob("*.svg"))
    for name in DRAWN:
        assert ElementTree.parse(FIGURES / f"{name}.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("name", ["accuracy", "maturity", "experiments"])
def test_a_figure_is_drawn_again(name: str) -> None:
    assert DRAWN[name](np.random.default_rng(2026)) == (FIGURES / f"{name}.svg").read_text()


def test_band() -> None:
    assert most(0.05, 2000) == pytest.approx(0.06462, abs=1e-5)


@pytest.mark.parametrize("module", [charts, page])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
