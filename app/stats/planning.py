"""From a reference to a monitor that keeps its budget: merging, season, which detectors may page, their thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from app.stats.bets import NORMAL, RANKED
from app.stats.budget import HOURLY, log_threshold, overshoot
from app.stats.diagnostics import Assumptions, assess
from app.stats.sequential import Bucket, Detector, Kind, Monitor, Worse


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `false_pages` false pages a year on average, over `monitors` monitors that each look `looks` times.

    `exact`: H and R alarm where the known law of their p-values spends the budget, a little before the proved bound.
    """

    false_pages: float = 1.0
    monitors: int = 1
    looks: float = HOURLY
    exact: bool = True

    def threshold(self, share: float) -> float:
        return log_threshold(self.looks, self.false_pages, monitors=self.monitors, share=share)


@dataclass(frozen=True, slots=True)
class Plan:
    """The monitor; what its card says of the assumptions; how many buckets to merge before each update."""

    monitor: Monitor
    assumptions: Assumptions

    @property
    def merge(self) -> int:
        return self.assumptions.merge


def plan_rate(
    key: int, reference: Sequence[Bucket], *, slots: int = 1, budget: Budget | None = None, ceiling: float | None = None
) -> Plan:
    """Of a rate of bad events: H and R, with a floor if a `ceiling` of the rate is promised.

    H is an early warning where the reference's buckets vary more than independent rows, or agree with their
    neighbours; so is R, and nothing but the floor pages, where no merging makes buckets look exchangeable.

    >>> plan = plan_rate(1, [Bucket(i, 500, 25 + (-1) ** i * (i % 7)) for i in range(40)])
    >>> [(str(d.kind), d.pages) for d in plan.monitor.detectors], plan.merge
    ([('count', True), ('rank', True)], 1)
    """
    budget = budget or Budget()
    found = assess(
        [rate_of(bucket).value for bucket in reference],
        [bucket.slot for bucket in reference],
        x=[bucket.x for bucket in reference],
        n=[bucket.n for bucket in reference],
    )
    paging = [True] * (ceiling is not None) + [found.rows_hold, found.buckets_hold]
    share = 1 / max(sum(paging), 1)
    smallest = min((bucket.n for bucket in reference), default=0) * found.merge
    proved = budget.threshold(share)
    by_count = proved - overshoot(NORMAL, smallest) * budget.exact
    by_rank = proved - overshoot(RANKED, 0) * budget.exact
    detectors = (
        Detector(Kind.COUNT, max(by_count, 0.0), least_rows=smallest, pages=found.rows_hold),
        Detector(Kind.RANK, max(by_rank, 0.0), bets=RANKED, pages=found.buckets_hold),
    )
    floor = () if ceiling is None else (Detector(Kind.FLOOR, proved, floor=ceiling),)
    return Plan(Monitor(key, (*floor, *detectors), max(1, -(-slots // found.merge))), found)


def plan_statistic(
    key: int, reference: Sequence[Bucket], *, worse: Worse, slots: int = 1, budget: Budget | None = None
) -> Plan:
    """Of any statistic of a bucket (AUC, F1, a loss, latency, a label-free estimate's error): R alone.

    >>> values = [0.9 + 0.01 * np.sin(7.3 * i * i) for i in range(60)]
    >>> plan_statistic(1, [Bucket(i, value=v) for i, v in enumerate(values)], worse="lower").assumptions.buckets_hold
    True
    """
    budget = budget or Budget()
    defined = [bucket for bucket in reference if not np.isnan(bucket.value)]
    found = assess([bucket.value for bucket in defined], [bucket.slot for bucket in defined])
    threshold = max(budget.threshold(1.0) - overshoot(RANKED, 0) * budget.exact, 0.0)
    detector = Detector(Kind.RANK, threshold, bets=RANKED, worse=worse, pages=found.buckets_hold)
    return Plan(Monitor(key, (detector,), max(1, -(-slots // found.merge))), found)


def rate_of(bucket: Bucket) -> Bucket:
    """With the rate as its statistic; NaN without rows.

    >>> rate_of(Bucket(1, n=4, x=1)).value
    0.25
    """
    return replace(bucket, value=bucket.x / bucket.n if bucket.n else nan)


def merge(buckets: Sequence[Bucket], m: int) -> tuple[Bucket, ...]:
    """m neighbours into one, with the first one's id; an incomplete last group waits and is left out.

    Events and rows add up; a statistic is the mean of the defined ones (give the rollups' own where it has one). With a
    season, groups begin where the season's slots divide by m, so that an hour without traffic shifts none; a group with
    a gap is left out.

    >>> merge([Bucket(0, 10, 1), Bucket(1, 10, 2), Bucket(2, 10, 3)], 2)[0].x
    3
    >>> seasonal = [Bucket(i, 10, 1, slot=i % 4) for i in (1, 2, 3, 4, 6, 7)]
    >>> [bucket.id for bucket in merge(seasonal, 2)]
    [2, 6]
    """
    if m == 1:
        return tuple(buckets)
    if not any(bucket.slot for bucket in buckets):
        groups = [list(buckets[start : start + m]) for start in range(0, len(buckets) - m + 1, m)]
    else:
        groups = [group for group in _by_slot(buckets, m) if len(group) == m]
    return tuple(_joined(group) for group in groups)


def _by_slot(buckets: Sequence[Bucket], m: int) -> list[list[Bucket]]:
    groups: list[list[Bucket]] = []
    for bucket in buckets:
        last = groups[-1][-1] if groups else None
        if last is None or bucket.slot // m != last.slot // m or bucket.slot <= last.slot:
            groups.append([])
        groups[-1].append(bucket)
    return groups


def _joined(group: Sequence[Bucket]) -> Bucket:
    n, x = sum(bucket.n for bucket in group), sum(bucket.x for bucket in group)
    defined = [bucket.value for bucket in group if not np.isnan(bucket.value)]
    joined = Bucket(group[0].id, n, x, float(np.mean(defined)) if defined else nan, group[0].slot // len(group))
    return rate_of(joined) if n else joined
