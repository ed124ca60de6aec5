"""How a version stands: its metrics on the labels so far, and how much of the truth has arrived; pure."""

from math import isfinite

from app.lifecycle.answers import LabelsNow, MetricNow
from app.stats.delays import DelayCurve
from app.stats.metrics import estimate
from app.stats.tally import Task
from app.tracking.rollups.reading import Share

METRICS_NOW = {Task.BINARY: ("accuracy",), Task.MULTICLASS: ("accuracy",), Task.REGRESSION: ("mae", "rmse")}
"""What a status tells at a glance, the one that stands for the model's accuracy first; all else is analytics."""


def metrics_now(share: Share) -> dict[str, MetricNow]:
    return {name: _metric(share, name) for name in METRICS_NOW[share.tally.shape.task]}


def labels_now(share: Share, curve: DelayCurve, *, waiting: int) -> LabelsNow:
    """Delays take those into account whose label is still to come (Kaplan-Meier): a young model doesn't look quick."""
    predictions, labelled = int(share.tally.n[share.point]), int(share.tally.labelled[share.point])
    return LabelsNow(
        predictions=predictions,
        labelled=labelled,
        waiting=waiting,
        coverage=labelled / predictions if predictions else None,
        median_delay_s=_known(curve.median_s),
        p99_delay_s=_known(curve.p99_s),
    )


def _metric(share: Share, name: str) -> MetricNow:
    found, point = estimate(share.tally, name), share.point
    return MetricNow(
        metric=name,
        value=_known(found.value[point]),
        ci_low=_known(found.low[point]),
        ci_high=_known(found.high[point]),
        level=found.level,
        n=int(found.n[point]),
        method=found.method[point],
    )


def _known(value: float) -> float | None:
    return float(value) if isfinite(value) else None
