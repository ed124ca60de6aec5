"""What setup, status and update answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.lifecycle.schemas import SETUP
from app.models.moves import State
from app.models.schemas import MONITOR, VERSION, Answer, ChannelAnswer, MonitorAnswer, VersionAnswer, example

CHANNELS = [{"name": "email", "status": "unconfigured"}, {"name": "slack", "status": "unconfigured"}]


class SetupAnswer(Answer):
    """What stands now: the documents complete with what was left out of them."""

    model_config = example(
        {
            "model_id": "fraud_model_v2.0",
            "version": "1",
            "state": "tracking",
            "outcome": "created",
            "monitors": [MONITOR],
            "channels": CHANNELS,
            **SETUP,
            "created_at": "2026-01-01T09:00:00Z",
            "updated_at": "2026-01-01T09:00:00Z",
        }
    )

    model_id: str
    version: str
    state: State
    outcome: Literal["created", "unchanged", "updated"]
    monitors: list[MonitorAnswer]
    channels: list[ChannelAnswer]
    model_info: dict[str, Any]
    dataset_config: dict[str, Any]
    monitoring_config: dict[str, Any]
    created_at: datetime
    updated_at: datetime


ACCURACY: dict[str, Any] = {
    "metric": "accuracy",
    "value": 0.962,
    "ci_low": 0.9608,
    "ci_high": 0.9632,
    "level": 0.95,
    "n": 96_000,
    "method": "wilson",
}


class MetricNow(Answer):
    """A metric on all labels that arrived for the version; null values where none did."""

    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    level: float
    n: int = Field(description="labelled predictions that counted")
    method: str = Field(description="of the interval; it holds for one look, not for watching")


class LabelsNow(Answer):
    predictions: int
    labelled: int
    coverage: float | None = Field(description="labelled share of the predictions")
    waiting: int = Field(description="labels of the model whose prediction has not come; 100,000 at most are counted")
    median_delay_s: float | None = Field(
        description="half of the labels that ever come have come by then, over all versions; null until that is known"
    )
    p99_delay_s: float | None = Field(description="99 of 100, likewise")


class HistoryEntry(Answer):
    version: str
    from_state: State | None
    to_state: State
    reason: str | None
    moved_by: str
    moved_at: datetime


class StatusAnswer(Answer):
    """A model as a whole; state, accuracy and labels are those of `version`: the champion, else the most advanced."""

    model_config = example(
        {
            "model_id": "fraud_model_v2.0",
            "task": "binary",
            "state": "production",
            "version": "1",
            "versions": [VERSION],
            "aliases": {"champion": "1"},
            "allowed_transitions": ["validated", "deprecated"],
            "accuracy": ACCURACY,
            "metrics": {"accuracy": ACCURACY},
            "labels": {
                "predictions": 120_000,
                "labelled": 96_000,
                "coverage": 0.8,
                "waiting": 3,
                "median_delay_s": 86_700.0,
                "p99_delay_s": 950_400.0,
            },
            "monitors": [MONITOR],
            "channels": CHANNELS,
            "history": [
                {
                    "version": "1",
                    "from_state": "staging",
                    "to_state": "production",
                    "reason": "canary passed",
                    "moved_by": "user:7",
                    "moved_at": "2026-01-09T09:00:00Z",
                }
            ],
            "revision": 7,
        }
    )

    model_id: str
    task: Literal["binary", "multiclass", "regression"]
    state: State
    version: str
    versions: list[VersionAnswer]
    aliases: dict[str, str]
    allowed_transitions: list[State]
    accuracy: MetricNow = Field(description="accuracy; for a regression its mean absolute error")
    metrics: dict[str, MetricNow]
    labels: LabelsNow
    monitors: list[MonitorAnswer]
    channels: list[ChannelAnswer]
    history: list[HistoryEntry] = Field(description="the last moves, the newest first")
    revision: int = Field(description="of the lifecycle; the `ETag` is made of it")
