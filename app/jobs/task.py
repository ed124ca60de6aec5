"""What a slice offers to workers: the jobs of one kind."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.jobs.run import Run

Work = Callable[[Run], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Task:
    """How jobs of a kind are done, and when they come due by themselves: `cron`, in UTC. What is missed is made up for.

    `work` may be stopped at any await and done again from the start: what it writes must be harmless to repeat, or
    stand in one transaction with `Run.hold` or `Run.finish`.
    """

    kind: str
    work: Work
    cron: str | None = None  # None: only on demand
