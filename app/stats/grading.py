"""Estimates without labels are graded when the labels come: did the realised value lie where it was announced?"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.intervals import Interval, proportion, t_interval
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]

FEWEST = 10  # graded buckets
BUCKETS = "buckets are independent; their labels are mature"


class Grade(StrEnum):
    HOLDS = "holds"  # as many inside as announced, no bias seen
    BIASED = "biased"  # off in one direction: what the score means has changed
    TOO_NARROW = "too narrow"  # fewer inside than announced
    UNGRADED = "ungraded"  # too few buckets with mature labels


@dataclass(frozen=True, slots=True)
class Report:
    """`coverage`: share of buckets whose realised value lay inside. `gap`: mean of estimate − realised. `gaps` [P], NaN
    where there was no label: what a rank monitor watches, since concept drift shows here first.
    """

    grade: Grade
    coverage: Interval
    gap: Interval
    gaps: Floats


def grade(
    estimated: ArrayLike, seen_low: ArrayLike, seen_high: ArrayLike, realised: ArrayLike, *, level: float = 0.95
) -> Report:
    """Per bucket: the estimate, where the realised value was to lie at `level`, and it (NaN: labels are not mature).

    >>> truth = 0.8 + 0.01 * np.sin(np.arange(40))
    >>> grade(np.full(40, 0.8), np.full(40, 0.77), np.full(40, 0.83), truth).grade.value
    'holds'
    >>> grade(np.full(40, 0.8), np.full(40, 0.77), np.full(40, 0.83), truth - 0.1).grade.value
    'biased'
    """
    value, low, high, real = (np.asarray(part, np.float64) for part in (estimated, seen_low, seen_high, realised))
    gaps = value - real
    known = np.isfinite(gaps) & np.isfinite(low) & np.isfinite(high)
    n = int(known.sum())
    if n < FEWEST:
        reason = f"fewer than {FEWEST} buckets with mature labels"
        nothing = withheld(np.nan, n, "graded", reason, level=level)
        return Report(Grade.UNGRADED, nothing, nothing, gaps)
    inside = int(((real >= low) & (real <= high))[known].sum())
    ends = [float(end[0]) for end in proportion([inside], [n], level)[:2]]
    coverage = interval(inside / n, ends[0], ends[1], "clopper-pearson", n, BUCKETS, level=level)
    mean = float(gaps[known].mean())
    ends = [float(end) for end in t_interval(mean, gaps[known].var(ddof=1), n, level)]
    gap = interval(mean, ends[0], ends[1], "t over buckets", n, BUCKETS, level=level)
    return Report(_graded(coverage, gap, high[known] - low[known], level), coverage, gap, gaps)


def _graded(coverage: Interval, gap: Interval, widths: Floats, level: float) -> Grade:
    """A bias counts when it is sure and moves the value by a tenth of its announced width: calibration's own error is
    shared by all buckets, so a small lasting gap is expected."""
    sure = gap.low > 0 or gap.high < 0
    if sure and abs(gap.value) > 0.1 * float(widths.mean()) and coverage.high < level:
        return Grade.BIASED
    return Grade.TOO_NARROW if coverage.high < level else Grade.HOLDS
