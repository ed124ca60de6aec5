"""Which rows are let in: pure checks of a whole batch, and what they leave out completed.

A batch that holds every rule costs a few passes over its columns; only where a pass says that something is wrong are
rows looked at.
"""

from collections.abc import Mapping
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from app.core.clock import DAY, MINUTE
from app.core.errors import MAX_PLACES
from app.models.facts import ModelFacts
from app.tracking.batch import MISSING, OTHER, Coded, Feature, LabelBatch, Numbers, PredictionBatch, Text
from app.tracking.checked import CheckedLabels, CheckedPredictions
from app.tracking.decoding.outcomes import NAMED, actuals, outcomes
from app.tracking.decoding.texts import MAX_ID, MAX_NAME, MAX_SEGMENT, MAX_VALUE, flaw, flaws, suspects
from app.tracking.decoding.values import BOOLEANS
from app.tracking.places import Findings

CLOCK_SKEW = 5 * MINUTE  # how far a client's clock may be ahead of ours
MAX_KEYS = 8  # segment keys of one prediction

Path = tuple[str, ...]
Times = NDArray[np.int64]


def check_predictions(batch: PredictionBatch, facts: ModelFacts, *, now_us: int) -> CheckedPredictions:
    """The batch with names resolved and `predicted` completed; raises `InvalidRequest` with every wrong place."""
    checked, findings = examine_predictions(batch, facts, now_us=now_us)
    if findings:
        raise batch.origin.refuse(findings)
    return checked


def check_labels(batch: LabelBatch, facts: ModelFacts, *, now_us: int) -> CheckedLabels:
    """As `check_predictions`."""
    checked, findings = examine_labels(batch, facts, now_us=now_us)
    if findings:
        raise batch.origin.refuse(findings)
    return checked


def examine_predictions(
    batch: PredictionBatch, facts: ModelFacts, *, now_us: int
) -> tuple[CheckedPredictions, Findings]:
    """The completed batch, which means something only where there are no findings."""
    findings = Findings()
    _texts(batch.ids, ("prediction_id",), findings)
    if batch.subject is not None:
        _texts(batch.subject, ("subject",), findings, optional=True)
    _times(batch.predicted_at, batch.known_at, now_us, findings)
    _not_expired(batch.predicted_at, facts, now_us, findings)
    _features(batch.features, facts.schema, findings)
    _segments(batch.segments, findings)
    predicted, sent_class, score, scores, new = outcomes(batch, facts, findings)
    sent_version = _versions(batch.version, facts, findings)
    checked = CheckedPredictions(
        ids=batch.ids,
        predicted_at=batch.predicted_at,
        version_no=_completed(sent_version, facts),
        predicted=predicted,
        sent_version=sent_version,
        sent_class=sent_class,
        score=score,
        scores=scores,
        features=batch.features,
        segments=batch.segments,
        subject=batch.subject,
        known_at=batch.known_at,
        new_classes=new,
    )
    return checked, findings


def examine_labels(batch: LabelBatch, facts: ModelFacts, *, now_us: int) -> tuple[CheckedLabels, Findings]:
    """As `examine_predictions`."""
    findings = Findings()
    _texts(batch.ids, ("prediction_id",), findings)
    _times(batch.event_at, batch.known_at, now_us, findings)
    actual, new = actuals(batch, facts, findings)
    return CheckedLabels(batch.ids, actual, batch.event_at, batch.correction, batch.known_at, new), findings


def _texts(text: Text, path: Path, findings: Findings, *, optional: bool = False) -> None:
    for row in suspects(text, MAX_ID).tolist():
        value = text.data[text.offsets[row] : text.offsets[row + 1]].decode()
        wrong = None if optional and not value else flaw(value, MAX_ID)
        if wrong is not None:
            findings.rows([row], path, *wrong)


def _times(times: Times, known_at: Times | None, now_us: int, findings: Findings) -> None:
    """An import's rows were known when they were made, so none can be of the future."""
    latest = now_us + CLOCK_SKEW if known_at is None else now_us
    if times.max() > latest:
        message = "is more than 5 minutes in the future" if known_at is None else "is in the future"
        findings.where(times > latest, ("timestamp",), "future", message)


def _not_expired(times: Times, facts: ModelFacts, now_us: int, findings: Findings) -> None:
    earliest = now_us - facts.retention_days * DAY
    if times.min() < earliest:
        message = f"is older than what is kept ({facts.retention_days} days)"
        findings.where(times < earliest, ("timestamp",), "expired", message)


def _versions(version: Coded, facts: ModelFacts, findings: Findings) -> NDArray[np.int32]:
    """The number of each row's version, MISSING where it is left out."""
    numbers = [facts.versions.get(label, MISSING) for label in version.values]
    found: NDArray[np.int32] = np.array([*numbers, MISSING], np.int32)[version.codes]  # MISSING (−1) picks the last
    if MISSING in numbers:
        known = ", ".join(list(facts.versions)[-NAMED:])  # the newest
        unknown = (found == MISSING) & (version.codes != MISSING)
        findings.where(unknown, ("version",), "unknown_version", f"is not a version of this model, which has {known}")
    return found


def _completed(sent: NDArray[np.int32], facts: ModelFacts) -> NDArray[np.int32]:
    """A version left out is the champion, else the latest."""
    absent = sent == MISSING
    return np.where(absent, np.int32(facts.versions[facts.default_version]), sent) if absent.any() else sent


def _features(features: Mapping[str, Feature], schema: Mapping[str, str], findings: Findings) -> None:
    for name, column in features.items():
        kind = schema.get(name)
        if kind == "number" and isinstance(column, Numbers):
            continue
        if schema and kind is None:
            findings.where(_given(column), ("features", name), "unknown_feature", "is not in the declared schema")
        elif kind is not None and not _fits(column, kind):
            findings.where(_given(column), ("features", name), "wrong_type", f"must be a {kind}, as declared")
        if isinstance(column, Coded) and column.values is not BOOLEANS:
            _coded(column, ("features", name), MAX_VALUE, findings, free=True)
    if not schema:
        _names(features, "features", MAX_NAME, findings)


def _fits(column: Feature, kind: str) -> bool:
    match kind:
        case "number":
            return isinstance(column, Numbers)
        case "boolean":
            return isinstance(column, Coded) and column.values == BOOLEANS
    return isinstance(column, Coded)


def _segments(segments: Mapping[str, Coded], findings: Findings) -> None:
    """A segment is named `key:value`, so no key holds a colon."""
    for key, column in segments.items():
        _coded(column, ("segment", key), MAX_SEGMENT, findings)
        if ":" in key:
            findings.where(_given(column), ("segment", key), "colon", "the name must not hold a colon")
        if OTHER in column.values:
            other = column.codes == column.values.index(OTHER)
            findings.where(other, ("segment", key), "reserved", f"{OTHER} is what the values past the cap count as")
    _names(segments, "segment", MAX_SEGMENT, findings)
    if len(segments) > MAX_KEYS:
        keys = np.sum([_given(column) for column in segments.values()], axis=0)
        findings.where(keys > MAX_KEYS, ("segment",), "too_many", f"has more than {MAX_KEYS} keys")


def _names(columns: Mapping[str, Feature], group: str, longest: int, findings: Findings) -> None:
    names = tuple(columns)
    for index, code, message in flaws(names, longest):
        findings.where(_given(columns[names[index]]), (group, names[index]), code, f"the name {message}")


def _coded(column: Coded, path: Path, longest: int, findings: Findings, *, free: bool = False) -> None:
    # values stand in the order of their first rows, so the first rows that are wrong are among these
    for index, code, message in islice(flaws(column.values, longest, free=free), MAX_PLACES + 1):
        findings.where(column.codes == index, path, code, message)


def _given(column: Feature) -> NDArray[np.bool_]:
    """Which rows have a value."""
    given: NDArray[np.bool_] = column.codes != MISSING if isinstance(column, Coded) else ~np.isnan(column.values)
    return given
