"""The judge of a soak on an hour's footprints whose growth is known."""

from collections.abc import Callable
from random import Random

import pytest

from tests.faults import growth
from tests.faults.footprint import Footprint
from tests.faults.growth import HOUR_S, Bounds
from tests.support.counts import Counts

EVERY_S = 5.0
FLAT = Bounds(memory_mib_per_hour=1.0, more=1.0)

Series = Callable[[float, Random], float]  # by the hour

NOTHING: dict[str, Series] = {
    "noise": lambda _, draw: draw.gauss(0, 2),
    "a burst, taken back": lambda hour, _: 60.0 if 0.4 < hour < 0.6 else 0.0,
    "one step, then never again": lambda hour, _: 1.0 if hour > 0.5 else 0.0,
    "an allocator that fills and empties": lambda hour, draw: hour * 12 % 1 * 3 + draw.gauss(0, 0.2),
    "less and less": lambda hour, draw: -5 * hour + draw.gauss(0, 1),
}
LEAKS: dict[str, Series] = {
    "three an hour in noise": lambda hour, draw: 3 * hour + draw.gauss(0, 2),
    "one each ten minutes": lambda hour, _: hour * 6 // 1,
    "five an hour under bursts": lambda hour, draw: 5 * hour + (40.0 if draw.random() < 0.1 else 0.0),
    "all but a quarter of the time": lambda hour, draw: 8 * max(0.0, hour - 0.25) + draw.gauss(0, 0.5),
}
WATCHED = ("memory", "descriptors", "connections", "database connections")


def red(series: Series, watched: str) -> list[str]:
    """What the judge finds where one figure goes so, and the others stand."""
    draw = Random(7)
    footprints = []
    for number in range(int(HOUR_S / EVERY_S)):
        figures = dict.fromkeys(WATCHED, 100.0)
        figures[watched] += series(number * EVERY_S / HOUR_S, draw)
        memory, *numbers = figures.values()
        footprints.append(Footprint(number * EVERY_S, memory, *map(int, numbers)))
    growth.count(counts := Counts(seed=7), footprints, FLAT)
    return [text for text, good in counts.figures if not good]


@pytest.mark.parametrize("watched", WATCHED)
class TestJudge:
    @pytest.mark.parametrize("series", NOTHING.values(), ids=NOTHING)
    def test_finds_nothing_where_nothing_grows(self, series: Series, watched: str) -> None:
        assert red(series, watched) == []

    @pytest.mark.parametrize("series", LEAKS.values(), ids=LEAKS)
    def test_finds_what_grows_and_only_that(self, series: Series, watched: str) -> None:
        (found,) = red(series, watched)
        assert found.startswith(f"{watched} grow")
