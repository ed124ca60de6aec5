"""Counts instead of "passed": what a fault test counts is printed with its seed, then judged. `./dev faults` says what
it does and, as soon as a test has ended, what was counted. The same seed gives the same faults again: `./dev faults
--seed 7 --only F9`. What takes as long as one wants, hours at best, is run alone: `./dev faults --soak 60`.
"""

import random
import time
from collections.abc import Iterator, Sized
from dataclasses import dataclass, field
from typing import Any

import pytest

_OUTCOMES = pytest.StashKey[list[str]]()
EVERY_DAY = 2026  # the short forms are the same each time; `./dev faults` draws a seed of its own and prints it
_SEED = pytest.StashKey[int]()
_COUNTS = pytest.StashKey["Counts"]()


@dataclass
class Counts:
    """Figures of one test; `judge` prints them all before it fails on the first that is out of bounds."""

    seed: int
    figures: list[tuple[str, bool]] = field(default_factory=list)

    def none(self, what: str, found: Sized | int, of: int | None = None) -> None:
        """There must be none; a few of those that there are are shown."""
        number = found if isinstance(found, int) else len(found)
        shown = "" if isinstance(found, int) or not number else f": {list(found)[:5]}"  # type: ignore[call-overload]
        self._add(f"{what} {number}{'' if of is None else f' of {of}'}{shown}", number == 0)

    def at_most(self, what: str, value: float, limit: float, unit: str = "") -> None:
        self._add(f"{what} {value:.4g}{unit} (<= {limit:g})", value <= limit)

    def at_least(self, what: str, value: float, limit: float, unit: str = "") -> None:
        self._add(f"{what} {value:.4g}{unit} (>= {limit:g})", value >= limit)

    def holds(self, what: str, *, is_so: bool) -> None:
        self._add(f"{what}: {'yes' if is_so else 'NO'}", is_so)

    def note(self, what: str, value: object) -> None:
        self._add(f"{what} {value:.4g}" if isinstance(value, float) else f"{what} {value}", True)

    def judge(self) -> None:
        print(self)
        wrong = [text for text, good in self.figures if not good]
        assert wrong == []

    def __str__(self) -> str:
        return f"seed {self.seed}: " + "; ".join(text for text, _ in self.figures)

    def _add(self, text: str, good: bool) -> None:
        self.figures.append((text, good))


def forms(**sizes: Any) -> pytest.MarkDecorator:
    """`size` in the short form, which `./dev test` runs, and in the long one, which `./dev faults` runs."""
    return pytest.mark.parametrize(
        "size",
        [
            pytest.param(sizes["smoke"], id="smoke", marks=pytest.mark.smoke),
            pytest.param(sizes["long"], id="long", marks=pytest.mark.long),
        ],
    )


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> Counts:
    made = request.node.stash[_COUNTS] = Counts(request.config.stash[_SEED])
    return made


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Chance of this test alone: which other tests run changes nothing."""
    return random.Random(f"{request.config.stash[_SEED]}:{request.node.nodeid}")


@pytest.fixture
def soak_s(request: pytest.FixtureRequest) -> float:
    """What `--soak` gives."""
    return float(request.config.getoption("--soak")) * 60


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption(
        "--seed", type=int, help="repeats the faults of a run; `./dev faults` without it: another one each time"
    )
    group.addoption("--only", default="", help="faults and goals by name, as F9,G4")
    group.addoption("--soak", type=float, metavar="MINUTES", help="only what is marked `soak`, and for so long")
    group.addoption("--table", action="store_true", help="what is done, and all counts, as they come")


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--seed")
    drawn = random.randrange(2**32) if config.getoption("--table") else EVERY_DAY
    config.stash[_SEED] = drawn if given is None else given
    config.stash[_OUTCOMES] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = {name for name in config.getoption("--only").split(",") if name}
    soaks = config.getoption("--soak") is not None
    kept = [
        item
        for item in items
        if (not wanted or wanted & set(_names(item))) and (item.get_closest_marker("soak") is not None) == soaks
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    if item.config.getoption("--table"):
        _line(item.config, f"{time.strftime('%H:%M:%S')} begins  {_title(item)}")


def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """No dots between the lines."""
    if config.getoption("--table") and report.passed:
        return "passed" if report.when == "call" else "", "", ""
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    counted = item.stash.get(_COUNTS, None)
    if counted is None and _names(item):
        counted = Counts(item.config.stash[_SEED])  # one that asserts by itself
    if counted is not None and (report.when == "call" or not report.passed):
        item.config.stash[_OUTCOMES].append(report.outcome)
        if item.config.getoption("--table"):
            _tell(item, counted, report.outcome, call.duration)
    return report  # type: ignore[return-value]


def _tell(item: pytest.Item, counted: Counts, outcome: str, seconds: float) -> None:
    verdict = {"passed": "holds", "skipped": "left out"}.get(outcome, "RED")
    _line(item.config, f"{verdict:8} {seconds:6.0f} s  {_title(item)}")
    for text, good in counted.figures:
        _line(item.config, f"{'':20}{'' if good else 'RED  '}{text}")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    outcomes = config.stash[_OUTCOMES]
    if config.getoption("--table") and outcomes:
        terminalreporter.line(
            f"{len(outcomes)} counted, {outcomes.count('failed')} red; again with --seed {config.stash[_SEED]}"
        )


def _line(config: pytest.Config, text: str) -> None:
    """At once: what takes hours says where it is, and has told what it counted if it is ended."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    reporter.ensure_newline()
    reporter.line(text)
    reporter.flush()


def _title(item: pytest.Item) -> str:
    said = item.originalname.removeprefix("test_").replace("_", " ")  # type: ignore[attr-defined]
    return f"{' '.join(_names(item))}: {said}"


def _names(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("fault") for name in mark.args]
