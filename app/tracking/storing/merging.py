"""Checked batches of several requests → one, so that a group commit prepares, counts and writes once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.tracking.batch import MISSING, Coded, Feature, Numbers, Text
from app.tracking.checked import CheckedLabels, CheckedPredictions
from app.tracking.storing.prepare import take


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One request's rows of a batch that was read together; cut out only where somebody needs them apart."""

    whole: CheckedPredictions
    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low

    def cut(self) -> CheckedPredictions:
        return take(self.whole, np.arange(self.low, self.high))


Predictions = CheckedPredictions | Part


def parts(whole: CheckedPredictions, sizes: Sequence[int]) -> list[Part]:
    return [Part(whole, low, high) for low, high in pairwise(accumulate(sizes, initial=0))]


def cut(batch: Predictions) -> CheckedPredictions:
    return batch.cut() if isinstance(batch, Part) else batch


def merge_predictions(given: Sequence[Predictions]) -> CheckedPredictions:
    """The rows of all, in order. All are imports or none is, and a feature is of one type in all, see `kind`."""
    batches = _wholes(given)
    if len(batches) == 1:
        return batches[0]
    sizes = [len(batch) for batch in batches]
    return CheckedPredictions(
        ids=_texts([batch.ids for batch in batches]),
        predicted_at=np.concatenate([batch.predicted_at for batch in batches]),
        version_no=np.concatenate([batch.version_no for batch in batches]),
        predicted=np.concatenate([batch.predicted for batch in batches]),
        sent_version=np.concatenate([batch.sent_version for batch in batches]),
        sent_class=np.concatenate([batch.sent_class for batch in batches]),
        score=np.concatenate([batch.score for batch in batches]),
        scores=_scores([batch.scores for batch in batches], sizes),
        features={
            name: _feature([batch.features.get(name) for batch in batches], sizes)
            for name in _names([batch.features for batch in batches])
        },
        segments={
            key: _coded([batch.segments.get(key) for batch in batches], sizes)
            for key in _names([batch.segments for batch in batches])
        },
        subject=_subjects([batch.subject for batch in batches], sizes),
        known_at=_known([batch.known_at for batch in batches]),
        new_classes=max((batch.new_classes for batch in batches), key=len),
    )


def merge_labels(batches: Sequence[CheckedLabels]) -> CheckedLabels:
    """As `merge_predictions`."""
    if len(batches) == 1:
        return batches[0]
    corrections = [
        np.zeros(len(batch), np.bool_) if batch.correction is None else batch.correction for batch in batches
    ]
    return CheckedLabels(
        ids=_texts([batch.ids for batch in batches]),
        actual=np.concatenate([batch.actual for batch in batches]),
        event_at=np.concatenate([batch.event_at for batch in batches]),
        correction=np.concatenate(corrections) if any(batch.correction is not None for batch in batches) else None,
        known_at=_known([batch.known_at for batch in batches]),
        new_classes=max((batch.new_classes for batch in batches), key=len),
    )


def kind(batch: Predictions | CheckedLabels) -> tuple[Any, ...]:
    """Batches with equal kinds can be merged."""
    if isinstance(batch, Part):
        return kind(batch.whole)
    imported = batch.known_at is not None
    if isinstance(batch, CheckedLabels):
        return (imported,)
    return imported, *sorted((name, isinstance(column, Coded)) for name, column in batch.features.items())


def _wholes(batches: Sequence[Predictions]) -> list[CheckedPredictions]:
    """The batches, but parts that stand together as they were read are their whole again."""
    found: list[CheckedPredictions] = []
    for _, run in groupby(batches, key=lambda batch: id(batch.whole if isinstance(batch, Part) else batch)):
        together = [*run]
        first = together[0]
        if isinstance(first, Part) and sum(map(len, together)) == len(first.whole):
            found.append(first.whole)
        else:
            found += map(cut, together)
    return found


def _names(parts: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    return {name: None for part in parts for name in part}


def _texts(parts: Sequence[Text]) -> Text:
    data = b"".join(part.data[part.offsets[0] : part.offsets[-1]] for part in parts)
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return Text(data, offsets)


def _subjects(parts: Sequence[Text | None], sizes: Sequence[int]) -> Text | None:
    if all(part is None for part in parts):
        return None
    return _texts([_nobody(n) if part is None else part for part, n in zip(parts, sizes, strict=True)])


def _nobody(n: int) -> Text:
    return Text(b"", np.zeros(n + 1, np.int64))


def _scores(parts: Sequence[NDArray[np.float64] | None], sizes: Sequence[int]) -> NDArray[np.float64] | None:
    """A model may have learnt a class in between: it had no probability before."""
    width = max((part.shape[1] for part in parts if part is not None), default=0)
    if not width:
        return None
    whole = np.zeros((sum(sizes), width))
    at = 0
    for part, n in zip(parts, sizes, strict=True):
        if part is None:
            whole[at : at + n] = np.nan
        else:
            whole[at : at + n, : part.shape[1]] = part
            whole[at : at + n][np.isnan(part).any(axis=1)] = np.nan
        at += n
    return whole


def _known(parts: Sequence[NDArray[np.int64] | None]) -> NDArray[np.int64] | None:
    known = [part for part in parts if part is not None]
    if known and len(known) < len(parts):
        raise ValueError("batches: imports and ordinary requests don't share a group")
    return np.concatenate(known) if known else None


def _feature(parts: Sequence[Feature | None], sizes: Sequence[int]) -> Feature:
    numbers = [part for part in parts if not isinstance(part, Coded)]
    if len(numbers) == len(parts):
        return _numbers(numbers, sizes)
    return _coded([None if isinstance(part, Numbers) else part for part in parts], sizes)


def _numbers(parts: Sequence[Numbers | None], sizes: Sequence[int]) -> Numbers:
    values = [
        np.full(n, np.nan) if part is None else part.values for part, n in zip(parts, sizes, strict=True)
    ]  # fmt: skip
    if all(part is not None and part.valid is None for part in parts):
        return Numbers(np.concatenate(values))
    whole = np.concatenate(values)
    return Numbers(whole, ~np.isnan(whole))


def _coded(parts: Sequence[Coded | None], sizes: Sequence[int]) -> Coded:
    """One dictionary for all; the values in the order in which they first appear."""
    first = next((part for part in parts if part is not None), None)
    if first is not None and all(part is not None and part.values == first.values for part in parts):
        return Coded(np.concatenate([part.codes for part in parts if part is not None]), first.values)
    numbers: dict[str, int] = {}
    codes = []
    for part, n in zip(parts, sizes, strict=True):
        if part is None:
            codes.append(np.full(n, MISSING, np.int32))
            continue
        table = [numbers.setdefault(value, len(numbers)) for value in part.values]
        codes.append(np.array([*table, MISSING], np.int32)[part.codes])  # MISSING (−1) picks the last
    return Coded(np.concatenate(codes), tuple(numbers))
