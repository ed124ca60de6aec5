"""Whether what a product holds grows: a line through its footprints that a few odd ones don't tilt."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from scipy.stats import theilslopes

from tests.faults.footprint import Footprint
from tests.support.counts import Counts

HOUR_S = 3600.0
LEVEL = 0.95
# Footprints that follow each other are much alike, and the line's interval takes them as independent: with each of them
# it would be far too narrow. So a run is cut into as many stretches, each stands for its median, and at twenty and more
# the interval's normal approximation is good (Sen 1968).
STRETCHES = 30


@dataclass(frozen=True, slots=True)
class Slope:
    """Per hour."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3g} ({self.low:+.3g} to {self.high:+.3g})"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the lower end of an interval may be: memory in MiB an hour, and whole ones more in all the time."""

    memory_mib_per_hour: float
    more: float


def slope(seconds: Sequence[float], values: Sequence[float]) -> Slope:
    """Theil's and Sen's: the median of the slopes between all pairs; up to 29 % of the stretches may be anything."""
    hours = [second / HOUR_S for second in medians(seconds, STRETCHES)]
    value, _, low, high = theilslopes(medians(values, STRETCHES), hours, LEVEL)
    return Slope(float(value), float(low), float(high))


def medians(values: Sequence[float], stretches: int) -> list[float]:
    """Of stretches as long as each other."""
    edges = np.linspace(0, len(values), min(stretches, len(values)) + 1).astype(int)
    return [median(values[first:last]) for first, last in pairwise(edges)]


def count(counts: Counts, footprints: Sequence[Footprint], bounds: Bounds) -> None:
    """Red is what has grown for sure: the lower end of the slope's interval is out of bounds."""
    seconds = [footprint.at_s for footprint in footprints]
    hours = (seconds[-1] - seconds[0]) / HOUR_S
    memory = [footprint.memory_mib for footprint in footprints]
    line = slope(seconds, memory)
    quarters = ", ".join(f"{level:.1f}" for level in medians(memory, 4))
    counts.note("memory", f"by quarters {quarters} MiB, an hour {line} MiB")
    counts.at_most("memory grows by", line.low, bounds.memory_mib_per_hour, " MiB/h and more")
    for what in ("descriptors", "connections", "database_connections"):
        numbers = [getattr(footprint, what) for footprint in footprints]
        line = slope(seconds, numbers)
        name = what.replace("_", " ")
        counts.note(name, f"{min(numbers)} to {max(numbers)}, an hour {line}")
        counts.at_most(f"{name} grow by", line.low * hours, bounds.more, " and more")
