"""The bodies of setup and update. Every key has an effect; an unknown one is refused with its place."""

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
    ClassLabel,
    ModelId,
    Reason,
    Request,
    Text,
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


class UpdateRequest(Request):
    model_config = example({"target_state": "training", "reason": "new quarter"})

    target_state: Annotated[State, Field(strict=False)]
    reason: Reason | None = Field(None, description="kept in the history")
    version: VersionLabel | None = Field(None, description="default: the version whose state the model shows")
