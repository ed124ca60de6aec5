"""Numbers from labels that come late, where the delay depends on the outcome: what has come is not what will.

Where frauds are known after a month and good payments after three days, yesterday's labels show too few frauds. Two
honest ways: the cohorts whose labels are all in, or what has come, each label weighed by its chance to have come.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.codes import DELAY_BINS, delay_bin
from app.stats.delays import DelayCurve, kaplan_meier
from app.stats.intervals import Interval, proportion
from app.stats.selective import hajek
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_SHARE = 0.5  # of a cohort must be labelled, else what is missing could be anything
FEWEST = 20  # labels of an outcome before its delay is known
STILL_COMING = 0.02  # of an outcome's labels came in the last half of the ages seen: more may be to come
LEAST_CHANCE = 0.05  # rows so young that fewer of an outcome's labels are in wait for their turn
MATURE = "what is not labelled among the mature is as what is"
BY_OUTCOME = "delays depend on the outcome alone, and are as they were"


def mature_rate(
    x: ArrayLike, labelled: ArrayLike, n: ArrayLike, age_s: ArrayLike, curve: DelayCurve, *, level: float = 0.95
) -> Interval:
    """Of buckets [P] older than 99 % of the delays: `x` hits in `labelled` of `n` predictions, together.

    `age_s`: of a bucket's youngest prediction. Withheld while the curve has not got to 99 %, or fewer than half of the
    cohort is labelled: unlabelled rows are then not known to be like the others.

    >>> curve = kaplan_meier(np.bincount([20], [99], 160), np.bincount([80], [1], 160))
    >>> found = mature_rate([90, 3], [100, 5], [100, 100], [1e5, 10.0], curve)
    >>> found.value, found.n
    (0.9, 100)
    """
    hits, rows, every, age = (np.asarray(part, np.float64) for part in (x, labelled, n, age_s))
    method = "mature cohort"
    if not np.isfinite(curve.p99_s):
        return withheld(np.nan, 0, method, "labels are still coming at the oldest age seen", level=level)
    old = age >= curve.p99_s
    total, known = float(every[old].sum()), float(rows[old].sum())
    if known == 0 or known < LEAST_SHARE * total:
        reason = f"of the mature predictions {known:.0f} of {total:.0f} are labelled; half are needed"
        return withheld(np.nan, int(known), method, reason, level=level)
    right = float(hits[old].sum())
    low, high, exact = proportion([right], [known], level)
    name = f"{method}, {'clopper-pearson' if exact[0] else 'wilson'}"
    return interval(right / known, low[0], high[0], name, int(known), MATURE, level=level)


def curve_of_labelled(delay_s: ArrayLike, age_s: ArrayLike) -> DelayCurve:
    """From labelled rows alone, each with its delay and its prediction's age now: the product-limit estimate for
    right-truncated delays (Lynden-Bell 1971; Woodroofe 1985), since a delay beyond the age is not seen.

    The share by an age is of those that come by the oldest age seen, so 1 there. No label: 0.

    >>> random = np.random.default_rng(0)
    >>> age, delay = random.uniform(0, 1e6, 20_000), random.exponential(1e5, 20_000)
    >>> came = delay < age
    >>> round(float(curve_of_labelled(delay[came], age[came]).at(1e5)), 2)
    0.63
    """
    delay, age = (delay_bin((np.asarray(part, np.float64) * 1e6).astype(np.int64)) for part in (delay_s, age_s))
    if delay.shape != age.shape:
        raise ValueError(f"delay_s, age_s: {delay.size} and {age.size} rows")
    events = np.bincount(delay, minlength=DELAY_BINS).astype(np.float64)
    # at risk in bin j: rows with a delay up to j that would have been seen with a delay of j
    risk = np.cumsum(events) - np.concatenate(([0.0], np.cumsum(np.bincount(age, minlength=DELAY_BINS))[:-1]))
    inside = np.divide(events, np.maximum(risk, events), out=np.zeros(DELAY_BINS), where=events > 0)
    if not delay.size:
        return kaplan_meier(events.astype(np.int64), np.zeros(DELAY_BINS, np.int64))
    share = np.concatenate((np.cumprod((1 - inside)[::-1])[::-1][1:], [1.0]))
    return _as_curve(share, int(delay.size))


def _as_curve(share: Floats, labels: int) -> DelayCurve:
    """With its quantiles, as Kaplan-Meier's curve has them: of rows none of which is waited for."""
    gained = np.rint(np.diff(share, prepend=0.0) * 1e9).astype(np.int64)
    read = kaplan_meier(gained, np.zeros(DELAY_BINS, np.int64))
    return DelayCurve(share, 1.0, followed=True, labels=labels, median_s=read.median_s, p99_s=read.p99_s)


def arrived_rate(
    x: ArrayLike,
    outcome: ArrayLike,
    delay_s: ArrayLike,
    age_s: ArrayLike,
    *,
    level: float = 0.95,
) -> Interval:
    """The mean of `x` (hits, say) over the labelled rows, each weighed by one over its outcome's chance to have been
    labelled by its age.

    Rows younger than when every outcome has a twentieth of its labels are left out. Withheld where an outcome has fewer
    than 20 labels, or its labels still come at the oldest age: then its level is not known.

    >>> random = np.random.default_rng(0)
    >>> positive, age = random.random(20_000) < 0.1, random.uniform(0, 200, 20_000) * 86_400
    >>> delay = random.exponential(np.where(positive, 20, 2) * 86_400.0)
    >>> came = delay < age
    >>> found = arrived_rate(positive[came], positive[came], delay[came], age[came])
    >>> found.low < 0.1 < found.high, bool(positive[came].mean() < found.low)
    (True, True)
    """
    values, kind = np.asarray(x, np.float64), np.asarray(outcome)
    delay, age = np.asarray(delay_s, np.float64), np.asarray(age_s, np.float64)
    method = "inverse probability of arrival"
    curves = {name: curve_of_labelled(delay[kind == name], age[kind == name]) for name in np.unique(kind)}
    reason = _unknown(curves, float(age.max(initial=0.0)))
    if reason:
        return withheld(np.nan, values.size, method, reason, level=level)
    chance = np.stack([curve.at(age) for curve in curves.values()])
    kept = chance.min(axis=0) >= LEAST_CHANCE
    mine = np.searchsorted(np.array(list(curves)), kind)
    found = hajek(values[kept], np.minimum(chance[mine, np.arange(kind.size)][kept], 1.0), level=level)
    named = f"{method}, {found.method.removeprefix('hajek, ')}"
    return interval(found.value, found.low, found.high, named, found.n, BY_OUTCOME, level=level, n_eff=found.n_eff)


def _unknown(curves: Mapping[object, DelayCurve], oldest_s: float) -> str:
    for name, curve in curves.items():
        if curve.labels < FEWEST:
            return f"outcome {name}: {curve.labels} labels say too little of their delay; {FEWEST} are needed"
        if 1 - float(curve.at(oldest_s / 2)) > STILL_COMING:
            return f"outcome {name}: labels are still coming at the oldest age seen"
    return "" if curves else "no labelled rows"
