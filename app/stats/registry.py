"""The one table of metrics; `metrics` fills it by importing the modules that hold them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.stats.codes import Task
from app.stats.evidence import Evidence
from app.stats.tally import Tally

Direction = Literal["higher", "lower", "zero"]
Read = Callable[[Tally], Evidence]

BOTH = (Task.BINARY, Task.MULTICLASS)
TABLE: dict[str, "Metric"] = {}


@dataclass(frozen=True, slots=True)
class Metric:
    """`needs_scores`: only rows with scores count; `needs_histogram`: the tally must be read with families ≥ 16."""

    name: str
    tasks: tuple[Task, ...]
    direction: Direction
    needs_scores: bool
    needs_histogram: bool
    meaning: str
    read: Read


def metric(
    *,
    tasks: tuple[Task, ...],
    meaning: str,
    direction: Direction = "higher",
    needs_scores: bool = False,
    needs_histogram: bool = False,
) -> Callable[[Read], Read]:
    """Enter a function tally → evidence into the table under its own name."""

    def enter(read: Read) -> Read:
        name = read.__name__
        TABLE[name] = Metric(name, tasks, direction, needs_scores, needs_histogram, meaning, read)
        return read

    return enter
