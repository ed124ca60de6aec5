"""A canary beside the stable version: is it worse, is it fine, or is it not known yet. May be looked at all day.

Two e-processes over buckets of arrived labels, each bucket given its rows and total events (`oddsratio`), of the odds
ratio ω of bad events, canary over stable:

    worse:  against ω ≤ 1        average over ω = WORSE of Π P(x_b; ω) / P(x_b; 1)
    fine:   against ω ≥ margin   average over ω = margin / WORSE of Π P(x_b; ω) / P(x_b; margin)

P(ever "fail" | not worse) ≤ rollback_alpha, P(ever "pass" | at least margin worse) ≤ promote_alpha: for any split of
the traffic, also one that changes, and any base rate that moves with time, if both arms see the same. Neither is
reached by "no significant difference": then the outcome is inconclusive, or that the labels do not suffice. Related:
Turner, Ly and Grünwald 2024 (arXiv 2106.02693).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, inf, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.stats.intervals import Interval
from app.stats.oddsratio import log_likelihoods

Floats = NDArray[np.float64]
Terms = tuple[float, ...]

# Odds ratios that are looked for: a canary this many times worse than the stable, or better than allowed.
WORSE = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
# Odds ratios the interval can name, 1/64 to 64 in steps of 3 %; and what is bet on each: Laplace about "no difference".
REACH = log(64)
POINTS = np.linspace(-REACH, REACH, 257)
BELIEFS = -np.abs(POINTS) / 0.5 - float(np.logaddexp.reduce(-np.abs(POINTS) / 0.5))
ASSUMPTION = "both arms see the same moving base rate, and one odds ratio between them; requests are routed at random"


class Outcome(StrEnum):
    PASS = "pass"  # noqa: S105 — an outcome, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_ENOUGH_LABELS = "not_enough_labels"


@dataclass(frozen=True, slots=True)
class Canary:
    """What is asked. `margin`: the odds ratio from which a canary is too bad to promote."""

    margin: float = 1.5
    rollback_alpha: float = 0.01
    promote_alpha: float = 0.05

    def __post_init__(self) -> None:
        if self.margin <= 1 or not 0 < self.rollback_alpha < 1 or not 0 < self.promote_alpha < 1:
            raise ValueError("margin must be above 1, the alphas inside (0, 1)")


@dataclass(frozen=True, slots=True)
class State:
    """Log likelihood ratios so far, by grid term. `could_…`: as if every event had fallen to the one side."""

    worse: Terms = (0.0,) * len(WORSE)
    fine: Terms = (0.0,) * len(WORSE)
    could_worse: Terms = (0.0,) * len(WORSE)
    could_fine: Terms = (0.0,) * len(WORSE)
    likelihood: Terms = (0.0,) * len(POINTS)
    most_worse: float = 0.0  # the largest log e so far: a threshold once reached stays reached
    most_fine: float = 0.0
    rows: tuple[int, int] = (0, 0)
    events: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "State":
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in body.items()}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`log_worse`, `log_fine`: largest log e so far, and what each must reach. Nothing is decided unless `decided`."""

    outcome: Outcome
    decided: bool
    odds_ratio: Interval
    log_worse: float
    log_worse_needed: float
    log_fine: float
    log_fine_needed: float


def update(canary: Canary, state: State, *, stable: tuple[int, int], new: tuple[int, int]) -> State:
    """With one bucket of arrived labels, each arm as (bad events, rows).

    >>> state = State()
    >>> for stable, new in (((20, 450), (4, 50)), ((25, 448), (6, 52)), ((22, 453), (9, 47))):
    ...     state = update(Canary(), state, stable=stable, new=new)
    >>> round(mixture(state.worse), 6)
    4.639522
    """
    (x_a, n_a), (x_b, n_b) = stable, new
    s = x_a + x_b
    most, least = min(n_b, s), max(0, s - n_a)
    grid = _grid(canary)
    seen = log_likelihoods(x_a, n_a, x_b, n_b, grid)
    worse, fine = _ratios(canary, seen)
    could_worse, _ = _ratios(canary, seen + (most - x_b) * grid)
    _, could_fine = _ratios(canary, seen + (least - x_b) * grid)
    moved = replace(
        state,
        worse=_plus(state.worse, worse),
        fine=_plus(state.fine, fine),
        could_worse=_plus(state.could_worse, could_worse),
        could_fine=_plus(state.could_fine, could_fine),
        likelihood=_plus(state.likelihood, seen[2 + 2 * len(WORSE) :]),
        rows=(state.rows[0] + n_a, state.rows[1] + n_b),
        events=(state.events[0] + x_a, state.events[1] + x_b),
    )
    return replace(
        moved,
        most_worse=max(state.most_worse, mixture(moved.worse)),
        most_fine=max(state.most_fine, mixture(moved.fine)),
    )


def judge(canary: Canary, state: State, *, level: float = 0.95) -> Verdict:
    """What may be said now. A canary found worse is a failure even if it was found fine as well.

    >>> judge(Canary(), State()).outcome
    <Outcome.NOT_ENOUGH_LABELS: 'not_enough_labels'>
    """
    need_worse, need_fine = -log(canary.rollback_alpha), -log(canary.promote_alpha)
    if state.most_worse >= need_worse:
        outcome = Outcome.FAIL
    elif state.most_fine >= need_fine:
        outcome = Outcome.PASS
    elif mixture(state.could_worse) < need_worse and mixture(state.could_fine) < need_fine:
        outcome = Outcome.NOT_ENOUGH_LABELS  # no way the events seen could have fallen would have decided
    else:
        outcome = Outcome.INCONCLUSIVE
    return Verdict(
        outcome=outcome,
        decided=outcome in {Outcome.PASS, Outcome.FAIL},
        odds_ratio=odds_ratio(state, level),
        log_worse=state.most_worse,
        log_worse_needed=need_worse,
        log_fine=state.most_fine,
        log_fine_needed=need_fine,
    )


def odds_ratio(state: State, level: float = 0.95) -> Interval:
    """Confidence sequence of ω: those that the mixture over POINTS has not beaten by 1/α. 0 and ∞ where out of reach.

    >>> found = odds_ratio(update(Canary(), State(), stable=(225, 4500), new=(50, 500)))
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
    (2.11, 1.2, 3.53)
    """
    likelihood = np.array(state.likelihood)
    left = likelihood - float(np.logaddexp.reduce(likelihood + BELIEFS)) - log(1 - level)  # ≤ 0: beaten
    inside = np.flatnonzero(left > 0)
    rows = sum(state.rows)
    return Interval(
        value=exp(_peak(likelihood)) if sum(state.events) else float("nan"),
        low=exp(_edge(left, int(inside[0]), -1)),
        high=exp(_edge(left, int(inside[-1]), 1)),
        level=level,
        method="conditional odds ratio, mixture sequence",
        n=rows,
        n_eff=_harmonic(state.rows),
        assumption=ASSUMPTION,
        validity="anytime",
    )


def mixture(log_ratios: Terms) -> float:
    """log of the average of the grid's likelihood ratios.

    >>> round(mixture((0.0, log(3.0))), 6)
    0.693147
    """
    return float(np.logaddexp.reduce(log_ratios) - log(len(log_ratios)))


def _grid(canary: Canary) -> Floats:
    allowed = log(canary.margin)
    return np.concatenate(([0.0], np.log(WORSE), [allowed], allowed - np.log(WORSE), POINTS))


def _ratios(canary: Canary, seen: Floats) -> tuple[Floats, Floats]:
    g = len(WORSE)
    return seen[1 : g + 1] - seen[0], seen[g + 2 : 2 * g + 2] - seen[g + 1]


def _edge(left: Floats, inside: int, step: int) -> float:
    """The end beyond `inside`: where the line through it and its inner neighbour, which lies above a concave log
    likelihood, reaches 0, but not beyond the next grid point."""
    beyond = inside + step
    if not 0 <= beyond < len(left):
        return step * inf
    inner = left[inside - step] if 0 <= inside - step < len(left) else left[inside]
    slope = inner - left[inside]  # rises inwards
    part = float(left[inside] / slope) if slope > 0 else 1.0
    return float(POINTS[inside] + (POINTS[beyond] - POINTS[inside]) * min(part, 1.0))


def _peak(likelihood: Floats) -> float:
    """Where the log likelihood is largest, by a parabola through the best grid point and its neighbours."""
    best = int(likelihood.argmax())
    if best in {0, len(likelihood) - 1}:
        return float(np.sign(POINTS[best]) * inf)
    before, at, after = likelihood[best - 1 : best + 2]
    bend = before - 2 * at + after
    return float(POINTS[best] + (POINTS[1] - POINTS[0]) * ((before - after) / (2 * bend) if bend < 0 else 0.0))


def _harmonic(rows: tuple[int, int]) -> float:
    """Rows of two equal arms that would say as much."""
    a, b = rows
    return 4.0 * a * b / (a + b) if a + b else 0.0


def _plus(terms: Terms, more: Floats) -> Terms:
    return tuple((np.array(terms) + more).tolist())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
