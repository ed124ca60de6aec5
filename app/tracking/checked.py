"""What the rules let through: batches whose names are resolved to numbers, ready to be stored."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.tracking.batch import Coded, Feature, Text


@dataclass(frozen=True, slots=True)
class CheckedPredictions:
    """n predictions that hold every rule, in the order of the request.

    `new_classes` are labels that the model allows but does not know yet: class indexes from `len(facts.classes)` on
    point into it. Add them to the model and check again with its new facts before storing; another process may have
    added others meanwhile.
    """

    ids: Text
    predicted_at: NDArray[np.int64]  # us
    version_no: NDArray[np.int32]
    predicted: NDArray[np.int32]  # class index; 0 for regression
    sent_version: NDArray[np.int32]  # as `version_no` and `predicted`, but MISSING where the row left it out
    sent_class: NDArray[np.int32]
    score: NDArray[np.float64]  # P(positive class) or the predicted value; NaN where a row has none
    scores: NDArray[np.float64] | None  # (n, k), multiclass; a row of NaN where a row has none
    features: Mapping[str, Feature]
    segments: Mapping[str, Coded]
    subject: Text | None  # "" where a row has none
    known_at: NDArray[np.int64] | None  # us; imports only
    new_classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.predicted_at)


@dataclass(frozen=True, slots=True)
class CheckedLabels:
    """n labels that hold every rule; `new_classes` as for predictions."""

    ids: Text
    actual: NDArray[np.float64]  # class index, or the value (regression)
    event_at: NDArray[np.int64]  # us
    correction: NDArray[np.bool_] | None  # None: no row is one
    known_at: NDArray[np.int64] | None  # us; imports only
    new_classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.event_at)
