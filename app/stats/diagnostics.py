"""Whether a reference looks as a monitor assumes: dispersion, autocorrelation, period; and how buckets are to merge.

Measured streams are 1.3 to 5 times over-dispersed and autocorrelated: a monitor that assumes iid breaks its promise on
its first day. What fails here costs H its right to page and makes R compare larger buckets.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, chdtri, fdtrc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# H is demoted where the buckets vary more than this times what their rows allow, or provably more (p < .01).
MOST_DISPERSION, LEAST_P = 1.2, 0.01
# And where so few buckets are known that a stream with twice the variance would look like this in 2 of 100 references.
DOUBTED, MISSED = 2.0, 0.02
# Fewer merged buckets than this say nothing of their own autocorrelation (limit 2/√20 = .45).
LEAST_BUCKETS = 20
# H is demoted by what neighbours taken together show only where there are this many: fewer show too much by chance.
MANY = 60
# Divisors of a day, so that seasons survive merging.
LADDER = (1, 2, 3, 4, 6, 8, 12, 24)
# Merging m independent buckets divides their variance by m; more than this is left over where neighbours agree.
STABLE_VARIANCE = 1.25
# Standard errors beyond which larger buckets show a rate that wanders: of 7 sizes, 3 independent streams in 100 do.
WANDERING = 2.5
# From this many buckets the usual limit of an autocorrelation, 2/√K, is small enough to protect R.
LONG = 100
# 2.5 % of independent streams have more of it (Kwiatkowski et al. 1992, table 1). A rate that wanders over much of
# the reference shows in no bucket's size, but in the sums; LONG references are asked, others show little.
MOST_LEVEL = 0.574
# With fewer buckets a rate can wander enough to break the promise and still pass all that is asked here, as simulated.
SHOWN = 1000
# R keeps its rate with this much autocorrelation between the buckets it ranks (AR(1), .3 to .9: at most .06 at .05).
MOST_LEFT = 0.15
UNSEEN = (
    "{buckets} buckets don't show a rate that slowly wanders: where it does, false pages come more often than "
    "promised; {shown} would show it"
)


@dataclass(frozen=True, slots=True)
class Dispersion:
    """`ratio`: variance between buckets over that of independent rows; `p` of ratio = 1 against more. NaN: unknown.

    `buckets` beyond one per slot are what it rests on.
    """

    ratio: float
    p: float
    buckets: int
    slots: int = 1

    @property
    def margin(self) -> float:
        """How far the ratio is below the most at which H may page; −∞ where it is unknown.

        The limit is such that twice the variance of independent rows passes with chance .02 at most, and never above
        1.2: what few buckets cannot show must not be taken for granted.
        """
        if np.isnan(self.ratio):
            return -np.inf
        df = self.buckets - self.slots
        return float(min(MOST_DISPERSION, DOUBTED * chdtri(df, 1 - MISSED) / df) - self.ratio)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the reference says; goes on the monitor's card.

    `rows_hold`: rows exchangeable as far as can be seen, so H may page. `buckets_hold`: merged buckets are not
    autocorrelated, so R may. `merge`: how many buckets make one. `reason`: what failed, `unseen`: what the reference is
    too short to show, in words.
    """

    dispersion: Dispersion
    autocorrelation: float  # of the merged buckets, season taken out
    autocorrelation_limit: float
    period_p: float  # of "no season" at the season looked for; 1 where none could be
    merge: int
    buckets: int  # after merging
    rows_hold: bool
    buckets_hold: bool
    reason: str
    unseen: str


def dispersion(x: ArrayLike, n: ArrayLike) -> Dispersion:
    """Pearson's χ² / (K − 1) of K buckets with x events in n rows; 1 for independent rows at one rate.

    NaN for fewer than two buckets with rows, or where all rows or none are events.

    >>> found = dispersion([25, 30, 20, 45], [500, 500, 500, 500])
    >>> round(found.ratio, 3), round(found.p, 4)
    (4.137, 0.0061)
    """
    x, n = np.asarray(x, np.float64), np.asarray(n, np.float64)
    x, n = x[n > 0], n[n > 0]
    rate = x.sum() / max(n.sum(), 1.0)
    if len(n) < 2 or rate in {0.0, 1.0}:
        return Dispersion(np.nan, np.nan, len(n))
    chi2 = float(((x - n * rate) ** 2 / n).sum() / (rate * (1 - rate)))
    return Dispersion(chi2 / (len(n) - 1), float(chdtrc(len(n) - 1, chi2)), len(n))


def autocorrelation(values: ArrayLike, lag: int = 1) -> float:
    """Of the values about their mean, biased form (divided by K); 0 if constant, NaN below three values.

    >>> round(autocorrelation([1, 2, 3, 4, 5]), 3)
    0.4
    """
    values = np.asarray(values, np.float64)
    if len(values) < lag + 2:
        return float("nan")
    away = values - values.mean()
    total = float(away @ away)
    return float(away[lag:] @ away[:-lag]) / total if total > 0 else 0.0


def period_p(values: ArrayLike, slot: ArrayLike) -> float:
    """p of "all slots have one mean" (one-way analysis of variance, F). NaN where no slot has two values.

    >>> period_p([1, 5, 1.1, 5.2, 0.9, 4.9], [0, 1, 0, 1, 0, 1]) < 0.001
    True
    """
    values, slot = np.asarray(values, np.float64), np.asarray(slot)
    names, place = np.unique(slot, return_inverse=True)
    between, within = len(names) - 1, len(values) - len(names)
    if between < 1 or within < 1:
        return float("nan")
    inside = float((_away_from_slot(values, slot) ** 2).sum()) / within
    means = np.bincount(place, values) / np.bincount(place)
    across = float((np.bincount(place) * (means - values.mean()) ** 2).sum()) / between
    if inside == 0:
        return 1.0 if across == 0 else 0.0
    return float(fdtrc(between, within, across / inside))


def merging(values: ArrayLike, slot: ArrayLike | None = None) -> int:
    """The least m of LADDER at which means of m neighbours look independent; 0 if none does with ≥ 20 left.

    On the values less their slot's mean. Single buckets pass with lag-1 autocorrelation r < 2/√K (1/√K below 100
    buckets, where a weak dependence that would already break the promise can't be seen otherwise), and if the means of
    neighbours vary no more than theirs would. If they fail, dependence is taken as a fact: means of m must pass
    r < 1/√K, leave at most .15 of autocorrelation if the stream is AR(1) with the r found, and have a variance that
    falls as 1/m. From 100 buckets on both must keep their level.

    >>> merging(np.random.default_rng(1).normal(size=200))
    1
    """
    values = np.asarray(values, np.float64)
    rest = values - values.mean() if slot is None else _away_from_slot(values, np.asarray(slot))
    found = autocorrelation(rest)
    limit = (2 if len(rest) >= LONG else 1) / np.sqrt(max(len(rest), 1))
    if len(rest) >= LEAST_BUCKETS and found < limit and not _wanders(rest):
        return 1
    for m in LADDER[1:]:
        means = merged(rest, m)
        if len(means) < LEAST_BUCKETS:
            break
        independent = autocorrelation(means) < 1 / np.sqrt(len(means))
        if len(rest) >= LONG and level(means) > MOST_LEVEL:
            continue
        if independent and left_over(found, m) <= MOST_LEFT and _variance_is_stable(rest, m):
            return m
    return 0


def _wanders(rest: Floats) -> bool:
    """Whether means of neighbours vary more than independent buckets' would, by 2.5 standard errors, at any size.

    A rate that wanders slowly shows little at lag 1: at lags 1 to 4 together it does, or in what all buckets add up to.
    """
    if len(rest) >= LONG and level(rest) > MOST_LEVEL:
        return True
    sizes = [m for m in LADDER[1:] if len(rest) // m >= LEAST_BUCKETS]
    return any(
        m * _variance(merged(rest, m)) > _variance(rest) * (1 + WANDERING * np.sqrt(2 / (len(rest) // m)))
        for m in sizes
    )


def level(values: ArrayLike) -> float:
    """Σ S_t² / (K² var), S_t the sum of the first t values about their mean: large where the level does not stay.

    The statistic of Kwiatkowski, Phillips, Schmidt and Shin for independent values. 0 if constant.

    >>> round(level([1, 2, 1, 2, 1, 2]), 3), round(level([1, 1, 1, 2, 2, 2]), 3)
    (0.083, 0.528)
    """
    rest = np.asarray(values, np.float64)
    rest = rest - rest.mean()
    spread = float(rest @ rest) * len(rest)
    return float((np.cumsum(rest) ** 2).sum()) / spread if spread > 0 else 0.0


def _variance(rest: Floats) -> float:
    return float(np.var(rest))


def left_over(r: float, m: int) -> float:
    """Lag-1 autocorrelation of means of m neighbours in a stationary AR(1) stream with lag-1 autocorrelation r.

    >>> round(left_over(0.3, 1), 3), round(left_over(0.3, 4), 3)
    (0.3, 0.097)
    """
    if r <= 0:
        return 0.0
    faded = 1 - r**m
    return float(r * faded**2 / (m * (1 - r**2) - 2 * r * faded))


def _variance_is_stable(rest: Floats, m: int) -> bool:
    wider = merged(rest, 2 * m)
    if len(wider) < LEAST_BUCKETS // 2:
        return True
    narrow = float(np.var(merged(rest, m)))
    # the limit leaves the sampling error of a ratio of variances its two standard errors
    return 2 * float(np.var(wider)) <= narrow * float(STABLE_VARIANCE + 2 * np.sqrt(1 / len(wider)))


def merged(values: Floats, m: int) -> Floats:
    """Means of m neighbours; the last, incomplete group is left out.

    >>> merged(np.arange(5.0), 2).tolist()
    [0.5, 2.5]
    """
    whole = len(values) // m * m
    return np.asarray(values[:whole].reshape(-1, m).mean(axis=1))


def _away_from_slot(values: Floats, slot: NDArray[np.int64]) -> Floats:
    _, place = np.unique(slot, return_inverse=True)
    return np.asarray(values - (np.bincount(place, values) / np.bincount(place))[place])


def assess(
    values: ArrayLike, slot: ArrayLike, *, x: ArrayLike | None = None, n: ArrayLike | None = None
) -> Assumptions:
    """Of a reference of K buckets in time order: the statistic, its season's slot, and for rates x events in n rows.

    Dispersion is taken within slots where the season shows (p < .01), because H is matched by season, too.
    """
    values, slot = np.asarray(values, np.float64), np.asarray(slot)
    seasonal = period_p(values, slot)
    m = merging(values, slot)
    spread = Dispersion(np.nan, np.nan, 0) if x is None or n is None else _worst(np.asarray(x), np.asarray(n), slot)
    kept = merged(_away_from_slot(values, slot), max(m, 1))
    rows = m == 1 and spread.margin >= 0 and spread.p >= LEAST_P
    return Assumptions(
        dispersion=spread,
        autocorrelation=autocorrelation(kept),
        autocorrelation_limit=2 / np.sqrt(max(len(kept), 1)),
        period_p=1.0 if np.isnan(seasonal) else seasonal,
        merge=max(m, 1),
        buckets=len(kept),
        rows_hold=bool(rows),
        buckets_hold=m > 0,
        reason=_reason(m, spread, x is not None),
        unseen="" if len(values) >= SHOWN else UNSEEN.format(buckets=len(values), shown=SHOWN),
    )


def _worst(x: Ints, n: Ints, slot: NDArray[np.int64]) -> Dispersion:
    """Of the dispersions of 1, 2, … neighbours taken together, the one farthest beyond its limit, or closest to it.

    A rate that wanders over hours hardly shows in buckets of a few minutes; in larger ones it does.
    """
    sizes = [m for m in LADDER if m == 1 or len(x) // m >= MANY]
    return min((_within(*_joined(x, n, slot, m)) for m in sizes), key=lambda found: found.margin)


def _joined(x: Ints, n: Ints, slot: NDArray[np.int64], m: int) -> tuple[Ints, Ints, NDArray[np.int64]]:
    whole = len(x) // m * m
    return x[:whole].reshape(-1, m).sum(axis=1), n[:whole].reshape(-1, m).sum(axis=1), slot[:whole:m] // m


def _within(x: Ints, n: Ints, slot: NDArray[np.int64]) -> Dispersion:
    """χ² summed over the slots."""
    parts = [dispersion(x[slot == name], n[slot == name]) for name in np.unique(slot)]
    known = [(part.ratio * (part.buckets - 1), part.buckets - 1) for part in parts if not np.isnan(part.ratio)]
    df = sum(freedom for _, freedom in known)
    if not df:
        return Dispersion(np.nan, np.nan, len(n))
    chi2 = sum(value for value, _ in known)
    return Dispersion(chi2 / df, float(chdtrc(df, chi2)), df + len(known), len(known))


def _reason(m: int, spread: Dispersion, is_rate: bool) -> str:
    found = []
    if m == 0:
        found.append("neighbouring buckets agree however they are merged, or there are too few to see")
    elif m > 1:
        found.append(f"neighbouring buckets agree; {m} are merged into one")
    if is_rate and np.isnan(spread.ratio):
        found.append("dispersion unknown: too few buckets, or no event")
    elif is_rate and (spread.ratio > MOST_DISPERSION or spread.p < LEAST_P):
        found.append(f"buckets vary {spread.ratio:.2f} times as much as independent rows would")
    return "; ".join(found)
