"""The registry's JSON: what versions and models look like from outside."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from app.db.paging import PageAsked
from app.models.moves import State


def _whole_number_as_text(value: object) -> object:
    """Versions and classes are names; JSON numbers like 1 are what people write for them."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


PRINTABLE = r"^[^\x00-\x1f\x7f]+$"  # the database takes no NUL in text, and nobody can read the others

ModelId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
VersionLabel = Annotated[
    str,
    BeforeValidator(_whole_number_as_text, json_schema_input_type=str | int),
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$"),
]
ClassLabel = Annotated[
    str,
    BeforeValidator(_whole_number_as_text, json_schema_input_type=str | int),
    StringConstraints(min_length=1, max_length=128, pattern=PRINTABLE),
]
Alias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=PRINTABLE)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00]+$")]


def example(value: dict[str, Any]) -> ConfigDict:
    """What OpenAPI shows of a schema."""
    return ConfigDict(json_schema_extra={"examples": [value]})


class Request(BaseModel):
    """Base of bodies: an unknown key or a wrong type is refused with its place."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Base of answers: built once, sent, never changed."""

    model_config = ConfigDict(frozen=True)


class VersionRequest(Request):
    model_config = example({"version": "2", "model_type": "ensemble", "training_data_hash": "def456"})

    version: VersionLabel = Field(description="label, unique within the model")
    model_type: Text | None = Field(None, description="kind of estimator, free text")
    training_data_hash: Text | None = Field(None, description="names the data the version was trained on")


class AliasRequest(Request):
    model_config = example({"version": "2"})

    version: VersionLabel


VERSION: dict[str, Any] = {
    "version": "1",
    "state": "production",
    "aliases": ["champion"],
    "allowed_transitions": ["validated", "deprecated"],
    "model_type": "ensemble",
    "training_data_hash": "abc123",
    "created_at": "2026-01-01T09:00:00Z",
}
MODEL: dict[str, Any] = {
    "model_id": "fraud_model_v2.0",
    "task": "binary",
    "classes": ["0", "1"],
    "positive_class": "1",
    "state": "production",
    "version": "1",
    "default_version": "1",
    "versions": ["1", "2"],
    "aliases": {"challenger": "2", "champion": "1"},
    "created_at": "2026-01-01T09:00:00Z",
    "archived_at": None,
}
MONITOR: dict[str, Any] = {
    "version": "1",
    "name": "accuracy_drop",
    "metric": "accuracy",
    "threshold": 0.05,
    "real_time": True,
    "status": "defined",
}


class VersionAnswer(Answer):
    model_config = example(VERSION)

    version: str
    state: State
    aliases: list[str]
    allowed_transitions: list[State]
    model_type: str | None
    training_data_hash: str | None
    created_at: datetime


class ModelAnswer(Answer):
    """A model; `state` is its champion's, else its most advanced version's (`version` names that one)."""

    model_config = example(MODEL)

    model_id: str
    task: Literal["binary", "multiclass", "regression"]
    classes: list[str]
    positive_class: str | None = Field(description="binary only")
    state: State
    version: str
    default_version: str = Field(
        description="what predictions without a version belong to: the champion, else the latest"
    )
    versions: list[str]
    aliases: dict[str, str]
    created_at: datetime
    archived_at: datetime | None


class ModelsAsked(PageAsked):
    """Which models."""

    archived: bool = Field(False, description="whether archived models are listed too")


class ModelsAnswer(Answer):
    model_config = example({"models": [MODEL], "next_cursor": None})

    models: list[ModelAnswer]
    next_cursor: str | None = Field(description="null on the last page")


class VersionsAnswer(Answer):
    model_config = example({"versions": [VERSION], "next_cursor": None})

    versions: list[VersionAnswer]
    next_cursor: str | None = Field(description="null on the last page")


class AliasAnswer(Answer):
    model_config = example({"model_id": "fraud_model_v2.0", "aliases": {"champion": "1"}})

    model_id: str
    aliases: dict[str, str]


class MonitorAnswer(Answer):
    """A limit set by setup; `status` is `defined` until something watches it."""

    model_config = example(MONITOR)

    version: str
    name: str
    metric: str
    threshold: float
    real_time: bool = Field(description="judged as labels arrive, not on a schedule")
    status: Literal["defined"]


class MonitorsAnswer(Answer):
    model_config = example({"monitors": [MONITOR], "next_cursor": None})

    monitors: list[MonitorAnswer]
    next_cursor: str | None = Field(description="null on the last page")


class ChannelAnswer(Answer):
    name: str
    status: Literal["configured", "unconfigured"]
