"""Which monitors a monitoring configuration defines; pure."""

from typing import Any

from app.core.errors import InvalidRequest, Place
from app.lifecycle.schemas import MonitoringConfig
from app.stats.tally import Task

CLASSIFICATION = (Task.BINARY, Task.MULTICLASS)
EVERY = (*CLASSIFICATION, Task.REGRESSION)

LIMITS: dict[str, tuple[str, tuple[Task, ...]]] = {
    "accuracy_drop": ("accuracy", CLASSIFICATION),
    "accuracy_floor": ("accuracy", CLASSIFICATION),
    "mae_increase": ("mae", (Task.REGRESSION,)),
    "feature_drift": ("psi", EVERY),
}
"""Each alert threshold: the metric it watches and the tasks it is for."""


def monitors_of(config: MonitoringConfig, task: Task) -> list[dict[str, Any]]:
    """A monitor per limit. Raises `InvalidRequest` at a limit that means nothing for the task."""
    limits = config.alert_thresholds.model_dump(exclude_none=True)
    unfit = [
        Place(f"/monitoring_config/alert_thresholds/{name}", "not_of_task", f"{LIMITS[name][0]} is not of {task}")
        for name in limits
        if task not in LIMITS[name][1]
    ]
    if unfit:
        raise InvalidRequest(f"{unfit[0].pointer}: {unfit[0].message}", places=unfit)
    return [
        {
            "name": name,
            "metric": LIMITS[name][0],
            "threshold": limit,
            "real_time": config.real_time_monitoring,
            "status": "defined",
        }
        for name, limit in limits.items()
    ]


def channels_of(config: MonitoringConfig) -> list[dict[str, Any]]:
    """The channels asked for; none has an address yet."""
    return [
        {"name": name, "position": position, "status": "unconfigured"}
        for position, name in enumerate(config.notification_channels)
    ]
