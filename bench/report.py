"""One table per benchmark: what was measured, the limit beside it, the ratio, the target; and how it is timed."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """`ratio` is ours / limit where more is better, or the plain figure; `target` is a bound it must keep."""

    what: str
    ours: str
    limit: str
    ratio: float | None
    target: float | None = None
    at_most: bool = False

    @property
    def verdict(self) -> str:
        if self.target is None or self.ratio is None:
            return ""
        held = self.ratio <= self.target if self.at_most else self.ratio >= self.target
        return "held" if held else "MISSED"


def show(title: str, lines: list[Line], note: str = "") -> None:
    table = Table(title=title, caption=note, title_justify="left", caption_justify="left")
    for heading in ("what", "ours", "limit of the same run", "ratio", "target", ""):
        table.add_column(heading)
    for line in lines:
        bound = "" if line.target is None else f"{'≤' if line.at_most else '≥'} {line.target:g}"
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        table.add_row(line.what, line.ours, line.limit, ratio, bound, line.verdict)
    Console().print(table)


def timed(jobs: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds, median of interleaved rounds after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(found) for name, found in seconds.items()}


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"
