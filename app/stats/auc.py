"""Area under the ROC curve from score histograms, with a certified bound (rows: `delong`).

Rows of one bin are ordered unknown to the histogram; the bound is what that can change at most, so the value from all
rows is always within value ± bound. Multiclass: macro over the classes, one against the rest, that have both outcomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from app.stats.evidence import ASYMPTOTIC, IID, LOGIT, Estimates, Evidence, Ranked, Smooth, choose
from app.stats.intervals import t_of, z_of
from app.stats.ladder import Ladder
from app.stats.onevsrest import ROUNDING, Problems, macro, undefined
from app.stats.registry import BOTH, metric
from app.stats.tally import Tally

Floats = NDArray[np.float64]
Ends = tuple[Floats, Floats]

NEWTON_STEPS, NEAR_ENOUGH = 60, 1e-13  # a handful are taken; halving the bracket alone would take 43
AVERAGED = "the macro average's standard error is bounded by the mean of the classes'"


@dataclass(frozen=True, slots=True)
class Ranks(Problems):
    """Of one-against-rest problems, [R] or [P, c]: area, its bound, DeLong's variance in two parts, and the rows of
    either outcome."""

    area: Floats
    bound: Floats
    of_positives: Floats
    of_negatives: Floats
    positives: Floats
    negatives: Floats

    @property
    def usable(self) -> NDArray[np.bool_]:
        return (self.positives > 0) & (self.negatives > 0)


@metric(tasks=BOTH, needs_scores=True, needs_histogram=True, meaning="Chance that a positive scores above a negative.")
def roc_auc(tally: Tally) -> Evidence:
    """Σ P_j (Q_<j + Q_j/2) / (mn) over bins; the value from all rows is within Σ P_j Q_j / (2mn).

    At a fixed n the union of Newcombe's method 5 and the logit-DeLong interval with Satterthwaite's t: DeLong alone
    covers .85 with 50 positives at .98, the union at least .949 in all cells tried.
    """
    ranks = ranks_of(tally.ladders).by_class(tally)
    value, bound = macro(ranks.area, ranks.usable), macro(ranks.bound, ranks.usable)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = macro(np.sqrt(ranks.of_positives + ranks.of_negatives), ranks.usable)
        spread = tally.scored * (error / (value * (1 - value))) ** 2
    smooth = Smooth(
        value=value,
        variance=np.where(spread > 0, spread, np.nan),
        rows=tally.scored,
        axis=LOGIT,
        method="delong",
        limits=(0.0, 1.0),
        note=undefined(tally, value),
        assumption=ASYMPTOTIC,
        bound=bound,
    )
    return Ranked(lambda level: _area_estimates(tally, ranks, smooth, level), smooth)


def ranks_of(ladders: Sequence[Ladder]) -> Ranks:
    """[R] areas with DeLong's variance from placement values: the problems of all the ladders.

    >>> from app.stats.ladder import Spans
    >>> negative, positive = Spans(np.array([0]), np.array([2])), Spans(np.array([2]), np.array([4]))
    >>> ladder = Ladder.of(np.array([0, 1, 1, 2], np.uint32), np.array([2, 1, 1, 2]), negative, positive)
    >>> ranks = ranks_of([ladder])
    >>> ranks.area.round(6).tolist(), ranks.bound.round(6).tolist()
    ([0.944444], [0.055556])
    """
    return Ranks.joined([_ranks(ladder) for ladder in ladders])


def _ranks(ladder: Ladder) -> Ranks:
    m, n = ladder.positives.astype(np.float64), ladder.negatives.astype(np.float64)
    some_m, some_n = np.maximum(m, 1.0), np.maximum(n, 1.0)
    count, tied = ladder.count.astype(np.float64), (ladder.upto - ladder.below).astype(np.float64)
    placed = (ladder.below + ladder.upto).astype(np.float64)  # twice, of a positive in this bin
    pairs = ladder.sums(count * placed)
    placed -= ladder.each(pairs / some_m)
    placed *= placed
    placed *= count
    return Ranks(
        pairs / (2 * some_m * some_n),
        ladder.sums(count * tied) / (2 * some_m * some_n) + ROUNDING,
        _mean_variance(ladder.sums(placed) / (2 * some_n) ** 2, m),
        _mean_variance(_of_negatives(ladder, pairs / (2 * some_n), count, tied) / some_m**2, n),
        m,
        n,
    )


def _of_negatives(ladder: Ladder, mean: Floats, count: Floats, tied: Floats) -> Floats:
    """[R] Σ (positives above − mean)² over negatives: those in a bin with positives, those up to the next one, those
    before the first."""
    after = ladder.above.astype(np.float64)
    after -= ladder.each(mean)
    inside = count / 2
    inside += after
    inside *= inside
    inside *= tied
    after *= after
    after *= ladder.passing
    inside += after
    spread, used = ladder.sums(inside), ladder.used
    spread[used] += ladder.below[ladder.starts[used]] * (ladder.positives[used] - mean[used]) ** 2
    return spread


def _mean_variance(spread: Floats, n: Floats) -> Floats:
    """Of the mean placement; NaN for n < 2."""
    return np.where(n > 1, spread / np.maximum((n - 1) * n, 1.0), np.nan)


def newcombe(area: Floats, positives: Floats, negatives: Floats, level: float) -> Ends:
    """Newcombe 2006, method 5: the θ with |area − θ| ≤ z √V(θ), by Newton's steps from where the bracket below is
    taken at the area (a Wilson interval).

    V(θ) = θ(1−θ) (1 + N ((1−θ)/(2−θ) + θ/(1+θ))) / (mn), N = (m + n)/2 − 1.

    >>> low, high = newcombe(np.array(0.9), np.array(20.0), np.array(30.0), 0.95)
    >>> round(float(low), 3), round(float(high), 3)
    (0.764, 0.959)
    """
    extra, scale = (positives + negatives) / 2 - 1, z_of(level) ** 2 / (positives * negatives)
    far, near = np.stack((np.zeros_like(area), np.ones_like(area))), np.stack((area, area))
    theta = _wilson_like(area, scale * (1 + extra * ((1 - area) / (2 - area) + area / (1 + area))))
    for _ in range(NEWTON_STEPS):
        away, slope = _beyond(theta, area, extra, scale)
        outside = away > 0
        far, near = np.where(outside, theta, far), np.where(outside, near, theta)
        step = theta - np.divide(away, slope, out=np.zeros_like(away), where=away != 0)
        between = (step - far) * (step - near) <= 0
        step = np.where(between, step, (far + near) / 2)
        moved = np.abs(step - theta) > NEAR_ENOUGH
        if not moved.any():
            break
        theta = np.where(moved, step, theta)  # each point stops by itself: the others change no bit of it
    return theta[0], theta[1]


def _wilson_like(area: Floats, scale: Floats) -> Floats:
    """[2, …] the θ with (area − θ)² = scale θ (1 − θ)."""
    half = np.sqrt(scale * (area * (1 - area) + scale / 4))
    return np.asarray(np.clip((area + scale / 2 + np.stack((-half, half))) / (1 + scale), 0.0, 1.0))


def _beyond(theta: Floats, area: Floats, extra: Floats, scale: Floats) -> Ends:
    """(area − θ)² − z² V(θ), positive outside the interval, and its slope."""
    rest, one, two = 1 - theta, 1 / (1 + theta), 1 / (2 - theta)
    growth = 1 + extra * (rest * two + theta * one)
    slope = (1 - 2 * theta) * growth + theta * rest * extra * (one * one - two * two)
    apart = area - theta
    return apart * apart - scale * theta * rest * growth, -2 * apart - scale * slope


def delong_interval(ranks: Ranks, level: float) -> Ends:
    """expit(logit(area) ± t · se / (area (1 − area))) with Satterthwaite's degrees of freedom; NaN where undefined.

    >>> area = Ranks(*(np.array(value) for value in (0.9, 0.0, 0.002, 0.001, 20.0, 40.0)))
    >>> [round(float(end), 3) for end in delong_interval(area, 0.95)]
    [0.724, 0.969]
    """
    a, b = ranks.of_positives, ranks.of_negatives
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (a + b) ** 2 / (a**2 / (ranks.positives - 1) + b**2 / (ranks.negatives - 1))
        half = t_of(level, df) * np.sqrt(a + b) / (ranks.area * (1 - ranks.area))
        center = logit(ranks.area)
        ends = expit(center - half), expit(center + half)
    defined = np.isfinite(center) & np.isfinite(half) & (half > 0)
    return np.where(defined, ends[0], np.nan), np.where(defined, ends[1], np.nan)


def _area_estimates(tally: Tally, ranks: Ranks, smooth: Smooth, level: float) -> Estimates:
    usable = ranks.usable
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = newcombe(ranks.area, ranks.positives, ranks.negatives, level)
    other_low, other_high = delong_interval(ranks, level)
    low, high = macro(np.fmin(low, other_low), usable), macro(np.fmax(high, other_high), usable)
    both = np.asarray((~np.isnan(other_low) & usable).any(axis=1))
    rarer = np.where(usable, np.minimum(ranks.positives, ranks.negatives), np.inf).min(axis=1)
    bound = np.zeros(1) if smooth.bound is None else smooth.bound
    return Estimates(
        value=smooth.value,
        low=np.maximum(low - bound, 0.0),
        high=np.minimum(high + bound, 1.0),
        n=tally.scored,
        n_eff=np.where(np.isfinite(rarer), rarer, 0.0),
        method=choose(both, "newcombe-5 and logit delong, widened by the bound", "newcombe-5"),
        bound=smooth.bound,
        level=level,
        note=smooth.note,
        assumption=IID if tally.score_classes == 1 else f"{IID}; {AVERAGED}",
    )
