"""The JSON of setup, status and update. Every key has an effect; an unknown one is refused with its place."""

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from app.models.moves import State
from app.models.schemas import (
    MONITOR,
    VERSION,
    Answer,
    ChannelAnswer,
    ClassLabel,
    ModelId,
    MonitorAnswer,
    Reason,
    Request,
    Text,
    VersionAnswer,
    VersionLabel,
    example,
)

MAX_CLASSES_DECLARED = 1000
MAX_BINS = 1000
RATIO_TOLERANCE = 1e-9  # three thirds as decimal fractions sum to 1 within this

FeatureName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
ChannelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Ratio = Annotated[float, Field(ge=0, le=1)]


def _unique(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("each may be named once")
    return values


def _edges_or_names(values: object, read: ValidatorFunctionWrapHandler) -> object:
    """One sentence instead of what each of the two readings misses."""
    try:
        return read(values)
    except ValidationError as error:
        raise ValueError("must be a list of finite numbers (edges) or a list of names") from error


class ModelInfo(Request):
    """What the model is. Of a known model, whatever is left out is as it was."""

    model_id: ModelId
    model_type: Text | None = Field(None, description="kind of estimator, free text")
    task: Literal["binary", "multiclass", "regression"] | None = Field(None, description="default: binary")
    classes: Annotated[list[ClassLabel], AfterValidator(_unique)] | None = Field(
        None, min_length=2, max_length=MAX_CLASSES_DECLARED, description="default for binary: 0 and 1"
    )
    positive_class: ClassLabel | None = Field(None, description="binary only; default: the second class")
    version: VersionLabel = "1"
    training_data_hash: Text | None = Field(
        None, description="names the data the version was trained on; never changes"
    )


class ReferenceBins(Request):
    """A feature's distribution: k counts over k + 1 ascending edges (number) or k names (category, boolean)."""

    bins: Annotated[list[float] | list[FeatureName], WrapValidator(_edges_or_names)] = Field(
        min_length=1, max_length=MAX_BINS + 1
    )
    counts: list[Annotated[int, Field(ge=0, le=2**53)]] = Field(min_length=1, max_length=MAX_BINS)

    @property
    def numeric(self) -> bool:
        return not isinstance(self.bins[0], str)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.numeric:
            if len(self.bins) != len(self.counts) + 1:
                raise ValueError(f"{len(self.counts)} counts need {len(self.counts) + 1} edges")
            if any(low >= high for low, high in pairwise(self.bins)):  # type: ignore[operator]
                raise ValueError("edges must ascend")
        elif len(self.bins) != len(self.counts) or len(set(self.bins)) != len(self.bins):
            raise ValueError("names must be as many as counts, each once")
        if not any(self.counts):
            raise ValueError("a reference of no rows says nothing")
        return self


class Reference(Request):
    """What drift is measured against: a data set, or the counts themselves."""

    dataset_id: Text | None = None
    features: dict[FeatureName, ReferenceBins] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.dataset_id is None) == (self.features is None):
            raise ValueError("give either dataset_id or features")
        return self


class DatasetConfig(Request):
    """How the data are split, and what their rows look like. Of a known model, whatever is left out is as it was."""

    model_config = ConfigDict(serialize_by_alias=True)

    train_ratio: Annotated[float, Field(gt=0, le=1)] = 0.7
    val_ratio: Ratio = 0.15
    test_ratio: Ratio = 0.15
    stratification: bool = Field(False, description="the split keeps the shares of the classes")
    feature_schema: dict[FeatureName, Literal["number", "category", "boolean"]] | None = Field(
        None, alias="schema", description="features by type; other names and types are then refused"
    )
    reference: Reference | None = Field(None, description="default: the first 10,000 rows fix the bins")
    allow_new_classes: bool | None = Field(None, description="multiclass: an unknown class is added, not refused")
    threshold: Ratio | None = Field(None, description="binary: score >= threshold is the positive class; default 0.5")
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = Field(
        None, description="raw rows live this long; default: `ASSAY_RETENTION__DAYS`"
    )

    @model_validator(mode="after")
    def _ratios_sum_to_one(self) -> Self:
        total = self.train_ratio + self.val_ratio + self.test_ratio
        if abs(total - 1) > RATIO_TOLERANCE:
            raise ValueError(f"train_ratio, val_ratio and test_ratio sum to {total:.12g}, not to 1")
        return self


class AlertThresholds(Request):
    """Each limit set here becomes a monitor."""

    accuracy_drop: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="absolute, from the held-out accuracy, else from the first mature 5,000 labels"
    )
    accuracy_floor: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="lowest accuracy that will do")
    mae_increase: Annotated[float, Field(gt=0)] | None = Field(
        None, description="regression: share by which the mean absolute error may grow"
    )
    feature_drift: Annotated[float, Field(gt=0)] | None = Field(
        None, description="population stability index of a feature against the reference"
    )


class MonitoringConfig(Request):
    """What is watched and who is told. As sent, so it is: a later setup replaces the whole."""

    real_time_monitoring: bool = Field(True, description="monitors judge as labels arrive; else on a schedule")
    alert_thresholds: AlertThresholds = AlertThresholds()
    notification_channels: Annotated[list[ChannelName], AfterValidator(_unique)] = Field(
        default_factory=list, max_length=50, description="by name; `unconfigured` until the channel has an address"
    )


SETUP: dict[str, Any] = {
    "model_info": {
        "model_id": "fraud_model_v2.0",
        "model_type": "ensemble",
        "task": "binary",
        "classes": ["0", "1"],
        "positive_class": "1",
        "version": "1",
        "training_data_hash": "abc123",
    },
    "dataset_config": {"train_ratio": 0.7, "val_ratio": 0.15, "test_ratio": 0.15, "stratification": True},
    "monitoring_config": {
        "real_time_monitoring": True,
        "alert_thresholds": {"accuracy_drop": 0.05},
        "notification_channels": ["email", "slack"],
    },
}


class SetupRequest(Request):
    model_config = example(SETUP)

    model_info: ModelInfo
    dataset_config: DatasetConfig = DatasetConfig()
    monitoring_config: MonitoringConfig | None = Field(None, description="left out: as it was")


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


class UpdateRequest(Request):
    model_config = example({"target_state": "training", "reason": "new quarter"})

    target_state: Annotated[State, Field(strict=False)]
    reason: Reason | None = Field(None, description="kept in the history")
    version: VersionLabel | None = Field(None, description="default: the version whose state the model shows")


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
        description="half of the labels that ever come have come by then; null until that is known"
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
