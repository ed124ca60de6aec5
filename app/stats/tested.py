"""A hypothesis test that never travels alone: its effect, with an interval, comes first."""

from dataclasses import dataclass

import numpy as np

from app.stats.intervals import Interval, Validity


@dataclass(frozen=True, slots=True)
class Tested:
    """`effect`: what differs, by how much (its `method`, `n`, `assumption` hold for p too). `p` is two-sided.

    NaN p: none can honestly be given, and `effect.assumption` says why. `null`: what p is computed under.
    """

    effect: Interval
    statistic: float
    p: float
    null: str


def interval(
    value: float,
    low: float,
    high: float,
    method: str,
    n: int,
    assumption: str,
    *,
    level: float = 0.95,
    n_eff: float | None = None,
    validity: Validity = "fixed-n",
) -> Interval:
    """An Interval of plain floats; `n_eff` is n unless told.

    >>> interval(0.5, 0.4, 0.6, "wilson", 100, "rows are independent").n_eff
    100.0
    """
    effective = float(n) if n_eff is None else float(n_eff)
    return Interval(float(value), float(low), float(high), level, method, int(n), effective, assumption, validity)


def withheld(value: float, n: int, method: str, reason: str, *, level: float = 0.95) -> Interval:
    """The value alone: no interval can honestly be given, `reason` says why.

    >>> withheld(0.5, 1, "t", "one row").assumption
    'one row'
    """
    return interval(value, np.nan, np.nan, method, n, reason, level=level)
