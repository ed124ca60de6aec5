"""When labels come, how many still will, and so how far a bucket's number may be trusted.

Kaplan-Meier on binned delays: a labelled prediction is an event at its delay, an unlabelled one is censored at its age.
Labels that never come make the curve level off below 1; what is expected of a bucket is measured against that level.
Where the delay depends on the outcome, `late` weighs what has come by its chance to have come.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

from app.stats.codes import DELAY_BINS, DELAY_EDGES_S, delay_bin
from app.stats.intervals import Interval, Validity, z_of
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FINAL, MATURING = 0.99, 0.5
# If the last doubling of age still brought more than this share of all labels so far, no level has been seen yet.
LEVEL_BELOW = 0.01
ENOUGH = 20  # labels
RULE_OF_THREE = 3.0  # 95 % upper limit of a count of 0 (Hanley and Lippman-Hand 1983)
OUTAGE = 0.001  # a bucket with fewer labels than this quantile of what the curve expects is judged by its own labels
_OCTAVE = 4  # delay bins


@dataclass(frozen=True, slots=True)
class DelayCurve:
    """F: the share of predictions labelled by an age, at the upper edges of the delay bins.

    `level` is F(∞): what ever comes. Where no level has been seen (`followed` False) it is 1, because all may still
    come. `median_s` and `p99_s`: of the labels that ever come; NaN where the curve has not got there.
    """

    share: Floats
    level: float
    followed: bool
    labels: int
    median_s: float
    p99_s: float
    error: Floats = field(default_factory=lambda: np.zeros(DELAY_BINS))
    method: str = "kaplan-meier, greenwood"
    assumption: str = "a label's delay does not depend on when its prediction was made"
    validity: Validity = "fixed-n"

    def by(self, age_s: float, *, level: float = 0.95) -> Interval:
        """The share labelled by an age, with Greenwood's error on the scale of log(−log(1 − F)).

        Kalbfleisch and Prentice 1980. No label by then: no interval.

        >>> curve = kaplan_meier(np.bincount([70], [90], 160), ages(np.array([1e7]), np.array([10])))
        >>> found = curve.by(1e6)
        >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
        (0.9, 0.83, 0.95)
        """
        value = float(self.at(age_s))
        spread = float(np.interp(age_s, _EDGES_S, np.concatenate(([0.0], self.error))))
        if not 0 < value < 1 or spread == 0:
            reason = "no label by this age, or all"
            return withheld(value, self.labels, self.method, reason, level=level)
        rest = np.log1p(-value)
        power = np.exp(np.array([1.0, -1.0]) * z_of(level) * spread / ((1 - value) * -rest))
        high, low = -np.expm1(rest * power)
        return interval(value, low, high, self.method, self.labels, self.assumption, level=level)

    def at(self, age_s: ArrayLike) -> Floats:
        """F(age), straight inside a bin. Past the last label it stays."""
        return np.asarray(np.interp(np.asarray(age_s, np.float64), _EDGES_S, np.concatenate(([0.0], self.share))))

    def expected(self, age_s: ArrayLike) -> Floats:
        """The share of the labels that ever come, come by this age; 0 while there is no label at all."""
        return self.at(age_s) / self.level


# The last bin has no upper edge; twice its lower one serves.
_EDGES_S = np.concatenate((DELAY_EDGES_S[:-1], [2 * DELAY_EDGES_S[-2]]))


def kaplan_meier(delays: Ints, waiting: Ints) -> DelayCurve:
    """Labels by delay bin and unlabelled predictions by the bin of their age, both [160] → the curve.

    Inside a bin censored rows count half (the actuarial form of Kaplan and Meier 1958). No label at all gives F = 0 and
    level 1.

    >>> delays, none = np.zeros(160, np.int64), np.zeros(160, np.int64)
    >>> delays[delay_bin(np.array([60_000_000]))] = 90
    >>> waiting = ages(np.array([86400.0]), np.array([10]))
    >>> curve = kaplan_meier(delays, waiting)
    >>> round(curve.level, 3), curve.followed, curve.expected([30, 70]).round(3).tolist()
    (0.9, True, [0.0, 1.0])
    """
    events, censored = delays.astype(np.float64), waiting.astype(np.float64)
    at_risk = np.cumsum((events + censored)[::-1])[::-1]
    exposed = np.maximum(at_risk - censored / 2, events)
    hazard = np.divide(events, exposed, out=np.zeros_like(events), where=exposed > 0)
    share = 1 - np.cumprod(1 - hazard)
    reached = float(share[-1])
    followed = _levelled(events, at_risk, reached)
    level = reached if followed else 1.0
    median, p99 = (_quantile(share, q * level) for q in (0.5, 0.99))
    left = exposed - events
    terms = np.divide(events, exposed * left, out=np.zeros_like(events), where=left > 0)
    error = (1 - share) * np.sqrt(np.cumsum(terms))
    return DelayCurve(share, level, followed, int(delays.sum()), median, p99, error)


def ages(age_s: Floats, unlabelled: Ints) -> Ints:
    """Unlabelled predictions of buckets, by the bin of the buckets' age: `waiting` of `kaplan_meier`.

    >>> int(ages(np.array([3600.0]), np.array([7])).argmax())
    48
    """
    bins = delay_bin((np.maximum(age_s, 0.0) * 1e6).astype(np.int64))
    return np.bincount(bins, np.maximum(unlabelled, 0), DELAY_BINS).astype(np.int64)


def maturity(age_s: ArrayLike, n: ArrayLike, labelled: ArrayLike, curve: DelayCurve) -> NDArray[np.str_]:
    """ "final" when ≥ 99 % of the labels that ever come to a bucket have come, "maturing" ≥ 50 %, else "provisional".

    `age_s`: of the bucket's youngest prediction. Judged by the curve; where a bucket has fewer labels than the
    curve's 0.1 % binomial quantile, by its own labels, so that an outage of the feed is never called final. All
    predictions labelled is final; a bucket without predictions is what its age says.

    >>> curve = kaplan_meier(np.bincount([20], [99], 160).astype(int), ages(np.array([1e6]), np.array([1])))
    >>> maturity([1e5, 1e5, 1.0], [100, 100, 100], [99, 40, 0], curve).tolist()
    ['final', 'provisional', 'provisional']
    """
    age, n, labelled = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in (age_s, n, labelled)))
    due = curve.at(age)
    share = due / curve.level
    some = np.maximum(n, 1.0)
    short = (n > 0) & (_at_most(labelled, some, due) < OUTAGE)
    share = np.where(short, np.minimum(share, labelled / (some * curve.level)), share)
    share = np.where((n > 0) & (labelled >= n) & (age > 0), 1.0, share)
    return np.where(share >= FINAL, "final", np.where(share >= MATURING, "maturing", "provisional"))


def _at_most(x: Floats, n: Floats, p: Floats) -> Floats:
    """P(Binomial(n, p) ≤ x)."""
    inside = x < n
    return np.where(inside, betainc(np.where(inside, n - x, 1.0), x + 1, np.clip(1 - p, 0.0, 1.0)), 1.0)


def _levelled(events: Floats, at_risk: Floats, reached: float) -> bool:
    """Whether labels have stopped coming: nobody waits, or one of two signs over the observed ages.

    Many labels: the last doubling of age brought so few that as many again would not matter (its hazard, at an upper
    limit, times those without a label, against all labels so far). Few: none came in the last two doublings; had they
    come evenly until now, 20 labels would do that with probability 4^-20.
    """
    if reached == 0:
        return False
    left, last = 1 - reached, int(np.flatnonzero(at_risk > 0)[-1])
    octave, quiet = max(last - _OCTAVE + 1, 0), max(last - 2 * _OCTAVE + 1, 0)
    hazard = (events[octave:].sum() + RULE_OF_THREE) / at_risk[octave]
    few = events[quiet:].sum() == 0 and events.sum() >= ENOUGH
    return bool(left < 1e-12 or few or left * hazard <= LEVEL_BELOW * reached)


def _quantile(share: Floats, wanted: float) -> float:
    """The age at which the curve reaches `wanted`, straight inside a bin."""
    if share[-1] < wanted * (1 - 1e-12) or wanted <= 0:
        return float("nan")
    last = int(np.searchsorted(share, wanted * (1 - 1e-12)))
    before = share[last - 1] if last else 0.0
    return float(np.interp(wanted, (before, share[last]), (_EDGES_S[last], _EDGES_S[last + 1])))
