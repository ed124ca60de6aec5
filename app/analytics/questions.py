"""Questions, checked against the model they are about."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from app.analytics.errors import UnknownMetric
from app.analytics.window import Window
from app.core.errors import Place
from app.models.errors import UnknownVersion
from app.models.facts import ModelFacts
from app.stats.metrics import metrics_of
from app.stats.tally import Task

DEFAULT = {Task.BINARY: "accuracy", Task.MULTICLASS: "accuracy", Task.REGRESSION: "mae"}
AT_A_GLANCE = {
    Task.BINARY: ("accuracy", "f1", "roc_auc"),
    Task.MULTICLASS: ("accuracy", "f1_macro", "log_loss"),
    Task.REGRESSION: ("mae", "rmse", "r2"),
}


@dataclass(frozen=True, slots=True)
class TrendQuestion:
    """A metric of a model over time; every part is known to exist but the segment, which the rollups know."""

    facts: ModelFacts
    metric: str
    window: Window
    version: str | None
    segment: str | None
    as_of_us: int | None
    level: float
    fill: bool
    may_widen: bool = False  # nobody asked for this width: days will do where hours are too many

    @property
    def key(self) -> Hashable:
        """The same for questions that have the same answer at the same moment."""
        facts = (self.facts.id, self.facts.revision)
        window = (self.window.bucket, self.window.from_us, self.window.to_us, self.may_widen)
        return facts, window, self.metric, self.version, self.segment, self.as_of_us, self.level, self.fill

    @property
    def version_no(self) -> int | None:
        return None if self.version is None else self.facts.versions[self.version]


def metric_of(facts: ModelFacts, name: str | None) -> str:
    """The metric asked for, or the task's first; refuses what the task doesn't have."""
    if name is None:
        return DEFAULT[facts.task]
    known = metrics_of(facts.task)
    if name not in known:
        raise UnknownMetric(
            f"a {facts.task} model has no metric {name}; it has {', '.join(known)}",
            places=[Place("/query/metric", "unknown_metric", f"one of {', '.join(known)}")],
            known=known,
        )
    return name


def version_of(facts: ModelFacts, version: str | None) -> str | None:
    """The version asked for; refuses one that the model doesn't have."""
    if version is not None and version not in facts.versions:
        known = ", ".join(list(facts.versions)[-20:])
        raise UnknownVersion(
            f"{facts.model_id} has no version {version}; it has {known}",
            places=[Place("/query/version", "unknown_version", f"one of {known}")],
        )
    return version


def metrics_for(asked: Sequence[str] | None) -> dict[Task, tuple[str, ...]]:
    """What to compute for each task; a metric that no task at all has is refused."""
    if asked is None:
        return dict(AT_A_GLANCE)
    everything = list(dict.fromkeys(name for task in Task for name in metrics_of(task)))
    for name in asked:
        if name not in everything:
            raise UnknownMetric(
                f"there is no metric {name}; there are {', '.join(everything)}",
                places=[Place("/query/metrics", "unknown_metric", f"some of {', '.join(everything)}")],
                known=everything,
            )
    return {task: tuple(name for name in asked if name in metrics_of(task)) for task in Task}
