"""A shadow answers the requests the live version answers: where they differ, who is wrong? May be looked at all day.

b rows that only the shadow got wrong, c that only the live one did. Given that they differ, the shadow is the wrong one
with chance θ = ω / (1 + ω), ω the odds. Assumed: that chance, given the past, is on the null's side at every
disagreement; nothing else about the rows. A sequential McNemar test, one for each question of a canary.
"""

from dataclasses import dataclass
from math import inf, log

import numpy as np
from scipy.special import betaincc, betaln

from app.stats.canary import Canary, Outcome, Verdict
from app.stats.intervals import Interval, beta_mixture

ASSUMPTION = "at every disagreement the shadow is wrong with the same chance, given the past"


@dataclass(frozen=True, slots=True)
class State:
    """`shadow_wrong` b, `live_wrong` c, and the largest log e so far of each question."""

    shadow_wrong: int = 0
    live_wrong: int = 0
    most_worse: float = 0.0
    most_fine: float = 0.0


def log_above(b: int, c: int, odds: float) -> float:
    """log e against "odds of b over c at most `odds`": uniform prior on θ above θ₀ = odds / (1 + odds), against θ₀.

    log ∫ θᵇ (1−θ)ᶜ dθ / (1 − θ₀) − b log θ₀ − c log(1 − θ₀), the integral from θ₀ to 1.

    >>> round(log_above(25, 10, 1.0), 6), log_above(0, 0, 1.0)
    (2.33594, 0.0)
    """
    at = odds / (1 + odds)
    tail = float(betaincc(b + 1, c + 1, at))
    mass = log(tail) + float(betaln(b + 1, c + 1)) if tail > 0 else -inf
    return mass - log(1 - at) - b * log(at) - c * log(1 - at)


def update(canary: Canary, state: State, *, shadow_wrong: int, live_wrong: int) -> State:
    """With the disagreements of one bucket of arrived labels.

    >>> update(Canary(), State(), shadow_wrong=25, live_wrong=10).most_worse > 2
    True
    """
    if min(shadow_wrong, live_wrong) < 0:
        raise ValueError("shadow_wrong, live_wrong: counts can't be negative")
    b, c = state.shadow_wrong + shadow_wrong, state.live_wrong + live_wrong
    worse, fine = log_above(b, c, 1.0), log_above(c, b, 1 / canary.margin)
    return State(b, c, max(state.most_worse, worse), max(state.most_fine, fine))


def judge(canary: Canary, state: State, *, level: float = 0.95) -> Verdict:
    """As `canary.judge`; the odds ratio is that of the disagreements.

    >>> judge(Canary(), State(shadow_wrong=2, live_wrong=1)).outcome
    <Outcome.NOT_ENOUGH_LABELS: 'not_enough_labels'>
    """
    need_worse, need_fine = -log(canary.rollback_alpha), -log(canary.promote_alpha)
    pairs = state.shadow_wrong + state.live_wrong
    could = log_above(pairs, 0, 1.0) >= need_worse or log_above(pairs, 0, 1 / canary.margin) >= need_fine
    if state.most_worse >= need_worse:
        outcome = Outcome.FAIL
    elif state.most_fine >= need_fine:
        outcome = Outcome.PASS
    else:
        outcome = Outcome.INCONCLUSIVE if could else Outcome.NOT_ENOUGH_LABELS
    return Verdict(
        outcome=outcome,
        decided=outcome in {Outcome.PASS, Outcome.FAIL},
        odds_ratio=_odds(state, level),
        log_worse=state.most_worse,
        log_worse_needed=need_worse,
        log_fine=state.most_fine,
        log_fine_needed=need_fine,
    )


def _odds(state: State, level: float) -> Interval:
    pairs = state.shadow_wrong + state.live_wrong
    low, high = beta_mixture(state.shadow_wrong, pairs, level)
    with np.errstate(divide="ignore"):
        ends = low / (1 - low), high / (1 - high)
    value = state.shadow_wrong / state.live_wrong if state.live_wrong else inf if pairs else float("nan")
    return Interval(
        value=value,
        low=float(ends[0]),
        high=float(ends[1]),
        level=level,
        method="odds of disagreements, beta-mixture",
        n=pairs,
        n_eff=float(pairs),
        assumption=ASSUMPTION,
        validity="anytime",
    )
