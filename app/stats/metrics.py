"""Every metric by name: its value with an interval at each point, and at any time for the overall figure.

estimate(tally, "accuracy").value, .low, .high      # [P], fixed n
anytime(tally.total(), "accuracy")                  # Interval, valid however often it is looked at
"""

from collections.abc import Mapping
from types import MappingProxyType

from app.stats import auc, averageprecision, calibration, classification, regression
from app.stats.codes import Task
from app.stats.evidence import Estimates
from app.stats.intervals import Interval
from app.stats.registry import TABLE, Metric
from app.stats.tally import Tally

__all__ = ["METRICS", "Estimates", "Interval", "Metric", "anytime", "estimate", "metrics_of", "needs_histogram"]

_ORDER = [module.__name__ for module in (classification, auc, averageprecision, calibration, regression)]
METRICS: Mapping[str, Metric] = MappingProxyType(
    dict(sorted(TABLE.items(), key=lambda item: _ORDER.index(item[1].read.__module__)))
)


def metrics_of(task: Task) -> tuple[str, ...]:
    """
    >>> metrics_of(Task.REGRESSION)
    ('mae', 'rmse', 'mse', 'r2', 'bias', 'mape')
    """
    return tuple(name for name, entry in METRICS.items() if task in entry.tasks)


def needs_histogram(name: str) -> bool:
    """Whether the tally must have been read with the histogram families.

    >>> needs_histogram("roc_auc"), needs_histogram("log_loss")
    (True, False)
    """
    return METRICS[name].needs_histogram


def estimate(tally: Tally, name: str, *, level: float = 0.95, guaranteed: bool = False) -> Estimates:
    """The metric at every point. ValueError for a metric the task does not have, or a tally without its histograms.

    `guaranteed`: intervals that cover their level whatever the truth, where there are such; the note says where not.

    >>> import numpy as np
    >>> from app.stats.tally import Shape, Task, count_labels
    >>> rows = {"actual": np.array([1.0, 0.0, 1.0]), "predicted": np.array([1, 0, 0]), "score": np.full(3, np.nan)}
    >>> cell, shape = np.zeros(3, np.intp), Shape(Task.BINARY, 2)
    >>> counted = count_labels(shape, cell, 1, **rows, delay_us=np.zeros(3, np.int64))
    >>> found = estimate(Tally.of(shape, 1, counted), "recall")
    >>> found.value.tolist(), found.low.round(3).tolist(), found.method
    ([0.5], [0.013], ('clopper-pearson',))
    """
    return _entry(tally, name).read(tally).fixed(level, guaranteed=guaranteed)


def anytime(tally: Tally, name: str, *, level: float = 0.95) -> Interval:
    """The metric of a one-point tally, with an interval that holds at every moment it is looked at.

    >>> from app.stats.tally import Shape, Sparse, Task
    >>> anytime(Tally.of(Shape(Task.BINARY, 2), 1, Sparse.empty()), "accuracy").assumption
    'no labelled rows'
    """
    if tally.points != 1:
        raise ValueError(f"tally: one point is needed, not {tally.points}; see Tally.total")
    return _entry(tally, name).read(tally).anytime(level)


def _entry(tally: Tally, name: str) -> Metric:
    entry = METRICS.get(name)
    if entry is None or tally.shape.task not in entry.tasks:
        raise ValueError(f"name: {name!r} is not a metric of a {tally.shape.task} model")
    if entry.needs_histogram and tally.scored.any() and not tally.has_histograms:
        raise ValueError(f"tally: {name} needs the histogram families, and they were not read")
    return entry
