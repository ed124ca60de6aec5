"""What ingest answers and what reading one prediction shows: frozen values, written by msgspec, shown by OpenAPI."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row whose id stands with another content; it was not applied."""

    row: int  # of the request, from 0
    prediction_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class PredictionsStored:
    """What became of each prediction of a request: accepted + duplicates + conflicts = rows sent."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    joined_labels: int = 0  # labels that had waited for these predictions


@dataclass(frozen=True, slots=True)
class LabelsStored:
    """What became of each label of a request: accepted + duplicates + conflicts + expired = rows sent.

    `accepted` = `joined` (to their predictions) + `waiting` (for predictions to come); `corrected` says how many of the
    accepted ones came after another value. `expired`: the prediction is not there and, by the label's own timestamp,
    older than retention, so it will not come; nothing was kept.
    """

    accepted: int = 0
    joined: int = 0
    waiting: int = 0
    duplicates: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    corrected: int = 0
    expired: int = 0


Value = float | str | None


@dataclass(frozen=True, slots=True)
class LabelSeen:
    """One label of a prediction's history; the last of them counts."""

    actual: float | str
    timestamp: str  # when the truth was established
    arrived_at: str
    known_at: str
    correction: bool


@dataclass(frozen=True, slots=True)
class PredictionSeen:
    """A prediction as it was stored, with every label it got.

    Where only a label has come yet, `waiting` holds it and the prediction's own fields are null. `features` are null
    where retention has dropped the raw row.
    """

    model_id: str
    prediction_id: str
    timestamp: str | None = None
    known_at: str | None = None
    version: str | None = None
    predicted: float | str | None = None
    score: float | None = None
    scores: dict[str, float] | None = None
    features: dict[str, float | str | None] | None = None
    segment: dict[str, str] | None = None
    labels: list[LabelSeen] = field(default_factory=list)
    waiting: LabelSeen | None = None


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """A segment key and the values that have statistics of their own."""

    key: str
    values: list[str]


@dataclass(frozen=True, slots=True)
class Segments:
    """What `segment=key:value` may name for a model."""

    model_id: str
    segments: list[SegmentKey]
