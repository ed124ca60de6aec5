"""Counts per bucket → a trend. Pure: what takes more than a moment can go to a thread."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.analytics.answers import MATURITIES, Columns, Delay, Maturity, Meta, Number, Overall, Point, Trend
from app.analytics.questions import TrendQuestion
from app.core.clock import SECOND, rfc3339
from app.stats import delays
from app.stats.delays import DelayCurve
from app.stats.metrics import METRICS, Estimates, anytime, estimate
from app.stats.sparse import Sparse
from app.stats.tally import Tally
from app.tracking.rollups.reading import Series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIXED_N = (
    "bands of points are fixed-n: each holds for one look at one point; the overall result also has an interval that "
    "holds at any time (anytime_low, anytime_high)"
)
SPARSE = "only buckets that hold predictions"
FILLED = "every bucket from the first to the last, also empty ones"


def trend_of(question: TrendQuestion, series: Series, curve: DelayCurve) -> Trend:
    """The whole answer."""
    found = estimate(series.tally, question.metric, level=question.level)
    return Trend(
        model_id=question.facts.model_id,
        metric=question.metric,
        interval=question.window.bucket.value,
        version=question.version,
        segment=question.segment,
        as_of=rfc3339(series.as_of_us),
        level=question.level,
        points=points(series, found, maturity(series, curve)),
        overall=overall_of(series.tally, question.metric, question.level),
        delay=delay_of(curve),
        meta=meta_of(question.metric, found, FILLED if question.fill else SPARSE),
    )


def every(series: Series, from_us: int | None, to_us: int | None) -> range:
    """The start of every bucket from the first to the last, or of the window where its ends are given.

    None of a series without rows.
    """
    step = series.grain_s * SECOND
    if not len(series.start_us):
        return range(0)
    first = int(series.start_us[0]) if from_us is None else from_us
    end = int(series.start_us[-1]) + step if to_us is None else to_us
    return range(first, end, step)


def filled(series: Series, starts_us: range) -> Series:
    """The series on these buckets, which contain its own."""
    place = ((series.start_us - starts_us.start) // starts_us.step).astype(np.uint32)
    old = series.tally.sparse
    tally = Tally.of(series.tally.shape, len(starts_us), Sparse(place[old.cell], old.code, old.amount))
    return replace(series, start_us=np.array(starts_us, np.int64), tally=tally)


def maturity(series: Series, curve: DelayCurve) -> list[Maturity]:
    """Of each bucket, judged at the age of its youngest prediction."""
    age_s = (series.as_of_us - series.start_us) / SECOND - series.grain_s
    states = delays.maturity(np.maximum(age_s, 0.0), series.tally.n, series.tally.labelled, curve)
    words: list[Maturity] = states.tolist()
    return words


def points(series: Series, found: Estimates, states: list[Maturity]) -> list[Point]:
    size = len(series.start_us)
    none: list[None] = [None] * size
    tally = series.tally
    return list(
        map(
            Point,
            instants(series.start_us),
            tally.n.tolist(),
            tally.labelled.tolist(),
            nullable(coverage(tally.n, tally.labelled)),
            states,
            nullable(found.value),
            nullable(found.low),
            nullable(found.high),
            none if found.bound is None else nullable(found.bound),
            none,
        )
    )


def columns(series: Series, found: Estimates, states: list[Maturity]) -> Columns:
    return Columns(
        x=(series.start_us // SECOND).tolist(),
        n=series.tally.n.tolist(),
        labelled=series.tally.labelled.tolist(),
        value=nullable(found.value),
        low=nullable(found.low),
        high=nullable(found.high),
        maturity=[MATURITIES.index(state) for state in states],
    )


def overall_of(tally: Tally, metric: str, level: float) -> Overall:
    """All points together, looked at once and at any time."""
    total = tally.total()
    once, always = estimate(total, metric, level=level), anytime(total, metric, level=level)
    return Overall(
        n=int(total.n[0]),
        labelled=int(total.labelled[0]),
        label_coverage=nullable(coverage(total.n, total.labelled))[0],
        value=number(once.value[0]),
        ci_low=number(once.low[0]),
        ci_high=number(once.high[0]),
        anytime_low=number(always.low),
        anytime_high=number(always.high),
        method=once.method[0],
        anytime_method=always.method,
        assumption=always.assumption,
        error_bound=None if once.bound is None else number(once.bound[0]),
    )


def delay_of(curve: DelayCurve) -> Delay:
    return Delay(
        median_s=number(curve.median_s),
        p99_s=number(curve.p99_s),
        expected=number(curve.level) if curve.labels and curve.followed else None,
    )


def meta_of(metric: str, found: Estimates, buckets: str) -> Meta:
    return Meta(
        method=", ".join(sorted(set(found.method))) or "none",
        assumption=found.assumption,
        validity=FIXED_N,
        note="; ".join(filter(None, (METRICS[metric].meaning, found.note))),
        buckets=buckets,
        direction=METRICS[metric].direction,
    )


def coverage(n: Ints, labelled: Ints) -> Floats:
    """labelled / n; NaN at n = 0."""
    share: Floats = np.divide(labelled, n, out=np.full(len(n), np.nan), where=n > 0)
    return share


def number(value: float) -> Number:
    return float(value) if np.isfinite(value) else None


def nullable(values: Floats) -> list[Number]:
    """NaN and infinities as None: JSON has neither.

    >>> nullable(np.array([0.5, np.nan, np.inf]))
    [0.5, None, None]
    """
    return [
        value if finite else None for value, finite in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
    ]


def instants(start_us: Ints) -> list[str]:
    """RFC 3339 in seconds.

    >>> instants(np.array([0, 60_000_000]))
    ['1970-01-01T00:00:00Z', '1970-01-01T00:01:00Z']
    """
    texts: list[str] = np.datetime_as_string(start_us.astype("datetime64[us]"), unit="s", timezone="UTC").tolist()
    return texts
