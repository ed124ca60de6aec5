"""The rows of a request as lists of plain values by column, and how these become a batch.

All JSON forms lead here, typed (fast) or loose (anything the client sent); `None` is a value that a row lacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.models.facts import ModelFacts
from app.stats.tally import Task
from app.tracking.batch import MISSING, Coded, Feature, LabelBatch, Numbers, PredictionBatch, Text
from app.tracking.decoding.errors import TooManyRows
from app.tracking.decoding.outcomes import sized
from app.tracking.decoding.reader import Reader
from app.tracking.places import Finding, Findings, Origin

Values = Sequence[Any]
MAX_NAMES = 1000  # of features, or of anything, in one request
# Rows × names of one request. The largest body (16 MiB) can't fill more; one that leaves most of them empty could claim
# a thousand times what it sent.
MAX_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a body is read. `version` is the request's own default, None for the model's."""

    now_us: int
    max_rows: int
    imported: bool = False
    version: str | int | None = None

    def stated(self, imported: bool, version: str | int | None) -> "Terms":
        """With what the body itself says."""
        if not imported and version is None:
            return self
        return replace(self, imported=self.imported or imported, version=version)

    def size(self, n: int, origin: Origin) -> None:
        """Raises where a request has too many rows, or none."""
        if n > self.max_rows:
            raise TooManyRows(
                f"The request has {n:,} rows; send at most {self.max_rows:,} at once.", limit=self.max_rows
            )
        if not n:
            raise origin.refuse([Finding(None, (), "empty", "there must be at least one row")])


@dataclass(frozen=True, slots=True)
class Columns:
    """Fields by name, each of n values; a field that no row has may be left out."""

    n: int
    fields: Mapping[str, Values]
    features: Mapping[str, Values | Feature] = field(default_factory=dict)
    segments: Mapping[str, Values] = field(default_factory=dict)
    scores: Mapping[str, Values] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)  # of features; where one is open its first value decides


@dataclass(frozen=True, slots=True)
class Read:
    """What was in a body."""

    columns: Columns
    terms: Terms
    origin: Origin


def predictions(read: Read, reader: Reader, facts: ModelFacts) -> PredictionBatch:
    """The batch; what is wrong with it so far is in `reader.findings`."""
    columns, terms, fields = read.columns, read.terms, read.columns.fields
    times = _times(columns, reader, terms)
    predicted, score = _outcome(fields, reader, facts)
    return PredictionBatch(
        ids=reader.texts(fields["prediction_id"], ("prediction_id",), required=True),
        predicted_at=times,
        version=_versions(columns, reader, terms),
        predicted=predicted,
        score=score,
        scores=_scores(columns, reader),
        features=_features(columns, reader),
        segments=_segments(columns.segments, reader),
        subject=_subject(fields, reader),
        known_at=times if terms.imported else None,
        score_classes=tuple(columns.scores),
        origin=read.origin,
    )


def labels(read: Read, reader: Reader, facts: ModelFacts) -> LabelBatch:
    """As `predictions`."""
    columns, terms, fields = read.columns, read.terms, read.columns.fields
    times = _times(columns, reader, terms)
    correction = fields.get("correction")
    return LabelBatch(
        ids=reader.texts(fields["prediction_id"], ("prediction_id",), required=True),
        actual=_actual(fields.get("actual", [None] * columns.n), reader, facts),
        event_at=times,
        correction=None if correction is None else reader.flags(correction, ("correction",)),
        known_at=times if terms.imported else None,
        origin=read.origin,
    )


def _times(columns: Columns, reader: Reader, terms: Terms) -> NDArray[np.int64]:
    values = columns.fields.get("timestamp")
    if values is None:
        if not terms.imported:
            return np.full(columns.n, terms.now_us, np.int64)
        values = [None] * columns.n
    return reader.times(values, ("timestamp",), terms.now_us, required=terms.imported)


def _versions(columns: Columns, reader: Reader, terms: Terms) -> Coded:
    default = () if terms.version is None else (str(terms.version),)
    values = columns.fields.get("version")
    if values is None:
        return Coded(np.full(columns.n, 0 if default else MISSING, np.int32), default)
    sent = reader.versions(values, ("version",))
    if not default or (sent.codes != MISSING).all():
        return sent
    return Coded(np.where(sent.codes == MISSING, len(sent.values), sent.codes), sent.values + default)


def _outcome(
    fields: Mapping[str, Values], reader: Reader, facts: ModelFacts
) -> tuple[Coded | None, NDArray[np.float64] | None]:
    """Predicted class and score; a regression may call its value either, but not two values."""
    predicted, score = fields.get("predicted"), fields.get("score")
    number = None if score is None else reader.numbers(score, ("score",))
    if facts.task is not Task.REGRESSION:
        return None if predicted is None else reader.labels(predicted, ("predicted",)), number
    other = None if predicted is None else reader.numbers(predicted, ("predicted",))
    return None, one_value(number, other, reader.findings)


def one_value(
    score: NDArray[np.float64] | None, predicted: NDArray[np.float64] | None, findings: Findings
) -> NDArray[np.float64] | None:
    """A regression's value, under either name or both; NaN where a row has neither."""
    for values, name in ((score, "score"), (predicted, "predicted")):
        if values is not None:
            sized(values, (name,), findings)
    if score is None or predicted is None:
        return predicted if score is None else score
    differ = ~np.isnan(score) & ~np.isnan(predicted) & (score != predicted)
    findings.where(differ, ("predicted",), "contradiction", "predicted and score are the same value here")
    return np.where(np.isnan(score), predicted, score)


def _actual(values: Values, reader: Reader, facts: ModelFacts) -> Coded | NDArray[np.float64]:
    if facts.task is not Task.REGRESSION:
        return reader.labels(values, ("actual",), required=True)
    actual = reader.numbers(values, ("actual",))
    reader.required(values, ("actual",))
    return actual


def _scores(columns: Columns, reader: Reader) -> NDArray[np.float64] | None:
    if not columns.scores:
        return None
    return np.stack([reader.numbers(values, ("scores", name)) for name, values in columns.scores.items()], axis=1)


def _features(columns: Columns, reader: Reader) -> dict[str, Feature]:
    """A feature that no row has is the same as one that nobody named."""
    features: dict[str, Feature] = {}
    for name, values in columns.features.items():
        if isinstance(values, Numbers | Coded):
            features[name] = values
        elif (feature := reader.feature(values, ("features", name), columns.kinds.get(name))) is not None:
            features[name] = feature
    return features


def _segments(segments: Mapping[str, Values], reader: Reader) -> dict[str, Coded]:
    read = ((name, reader.labels(values, ("segment", name))) for name, values in segments.items())
    return {name: column for name, column in read if column.values}


def _subject(fields: Mapping[str, Values], reader: Reader) -> Text | None:
    values = fields.get("subject")
    if values is None:
        return None
    subject = reader.texts(values, ("subject",))
    return subject if subject.data else None
