"""Totals → all models at a glance. Pure. Models of one shape share a tally, so each metric is computed once for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.analytics.answers import Meta, MetricValue, Standing, Summary
from app.analytics.trend import number
from app.core.clock import rfc3339
from app.models.facts import ModelFacts
from app.stats.metrics import Estimates, estimate
from app.stats.tally import Tally, Task
from app.tracking.rollups.reading import Share

Shares = Mapping[tuple[int, int | None], Share]
NOTHING = MetricValue(None, None, None, 0, "none", None)
META = Meta(
    method="named at each value",
    assumption="labels are independent draws",
    validity="fixed-n: each interval holds for one look; the trend of a model also gives one that holds at any time",
    note="all labels that have come, mature or not",
    buckets="the whole window",
    direction="see the trend of a metric",
)


@dataclass(frozen=True, slots=True)
class Line:
    """A model, or one of its versions."""

    facts: ModelFacts
    version: str
    version_no: int | None  # None: all versions together


def lines(models: Sequence[ModelFacts], *, by_version: bool) -> list[Line]:
    if not by_version:
        return [Line(facts, facts.default_version, None) for facts in models]
    return [Line(facts, version, version_no) for facts in models for version, version_no in facts.versions.items()]


def summary_of(
    lines: Sequence[Line], shares: Shares, wanted: Mapping[Task, Sequence[str]], level: float, now_us: int
) -> Summary:
    return Summary(models=standings(lines, shares, wanted, level), as_of=rfc3339(now_us), level=level, meta=META)


def standings(
    lines: Sequence[Line], shares: Shares, wanted: Mapping[Task, Sequence[str]], level: float
) -> list[Standing]:
    """One for each line, in their order. `wanted` are the metrics of each task."""
    known: dict[tuple[int, str], Estimates] = {}

    def found(tally: Tally, name: str) -> Estimates:
        key = (id(tally), name)
        if key not in known:
            known[key] = estimate(tally, name, level=level)
        return known[key]

    answers = []
    for line in lines:
        share = shares.get((line.facts.id, line.version_no))
        metrics = {
            name: NOTHING if share is None else value_of(found(share.tally, name), share.point)
            for name in wanted[line.facts.task]
        }
        answers.append(_standing(line, share, metrics))
    return answers


def value_of(found: Estimates, point: int) -> MetricValue:
    return MetricValue(
        value=number(found.value[point]),
        ci_low=number(found.low[point]),
        ci_high=number(found.high[point]),
        n=int(found.n[point]),
        method=found.method[point],
        error_bound=None if found.bound is None else number(found.bound[point]),
    )


def _standing(line: Line, share: Share | None, metrics: dict[str, MetricValue]) -> Standing:
    n = int(share.tally.n[share.point]) if share else 0
    labelled = int(share.tally.labelled[share.point]) if share else 0
    return Standing(
        model_id=line.facts.model_id,
        version=line.version,
        task=line.facts.task.value,
        n=n,
        labelled=labelled,
        label_coverage=labelled / n if n else None,
        metrics=metrics,
    )
