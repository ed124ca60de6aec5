"""What a check is, and the pass rule: an empirical rate may exceed its bound by three standard errors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt

from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class Result:
    """`figure` in words of the title; `band`: what it must be in; `detail`: what else was seen.

    `table`: a heading and rows, for what one figure can't tell.
    """

    figure: float
    band: str
    passed: bool
    detail: str = ""
    table: tuple[tuple[str, ...], ...] = ()


Run = Callable[[int, Generator], Result]


@dataclass(frozen=True, slots=True)
class Check:
    """`broken`: the same figure of a method without the promise, which the band must reject.

    `replications` of the full form, `smoke` of the tests'; `seed` gives every run its own generator.
    """

    id: str
    title: str
    run: Run
    replications: int
    smoke: int
    broken: Run
    broken_name: str
    seed: int = field(default=2026)


CHECKS: dict[str, Check] = {}


def register(check: Check) -> None:
    if check.id in CHECKS:
        raise ValueError(f"{check.id} is there already")
    CHECKS[check.id] = check


def most(alpha: float, replications: int) -> float:
    """
    >>> round(most(0.05, 2000), 4)
    0.0646
    """
    return alpha + 3 * sqrt(alpha * (1 - alpha) / replications)


def rate_at_most(rate: float, alpha: float, replications: int, detail: str = "") -> Result:
    limit = most(alpha, replications)
    return Result(rate, f"≤ {limit:.4f}", rate <= limit, detail)


def mean_at_most(mean: float, limit: float, error: float, detail: str = "") -> Result:
    return Result(mean, f"≤ {limit:.4g} + 3 · {error:.2g}", mean <= limit + 3 * error, detail)
