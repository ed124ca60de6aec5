"""The one columnar form that every kind of request becomes; n rows, numpy arrays, nothing per row.

Row numbers are those of the request (0-based), so that a finding can be pointed at its place.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.tracking.places import LABELS, PREDICTIONS, Origin

OTHER = "__other__"  # as what a segment's values past the cap are counted
MISSING = -1  # code of "this row has none" in a Coded column


@dataclass(frozen=True, slots=True)
class Text:
    """n strings as one UTF-8 buffer (Arrow's layout): row i is `data[offsets[i]:offsets[i + 1]]`."""

    data: bytes
    offsets: NDArray[np.int64]  # n + 1

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def tolist(self) -> list[str]:
        """The strings themselves; for answers and tests, not for the hot path."""
        edges = self.offsets.tolist()
        return [self.data[low:high].decode() for low, high in itertools.pairwise(edges)]


@dataclass(frozen=True, slots=True)
class Coded:
    """n values out of few: `values[codes[i]]`, `MISSING` where a row has none."""

    codes: NDArray[np.int32]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """A numeric feature; `valid` is None where every row has a value (missing rows hold NaN)."""

    values: NDArray[np.float64]
    valid: NDArray[np.bool_] | None = None


Feature = Numbers | Coded


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """Predictions of one request, or of several merged into one group.

    `predicted` is the class as sent (a label, coded) for classification and None where no row has it; `score` is
    P(positive class) for binary, the predicted value for regression, NaN where missing; `scores` is (n, k) in the
    order of `score_classes` for multiclass (NaN where missing). `known_at` is given for imports only.
    """

    ids: Text
    predicted_at: NDArray[np.int64]  # us; where the client gave none: the receipt
    version: Coded  # public version labels; MISSING = the model's default
    predicted: Coded | None
    score: NDArray[np.float64] | None
    scores: NDArray[np.float64] | None
    features: Mapping[str, Feature] = field(default_factory=dict)
    segments: Mapping[str, Coded] = field(default_factory=dict)
    subject: Text | None = None  # "" where a row has none
    known_at: NDArray[np.int64] | None = None
    score_classes: tuple[str, ...] = ()  # the labels of `scores`' columns
    origin: Origin = PREDICTIONS

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """Labels of one request: `actual` is coded class labels for classification, numbers for regression."""

    ids: Text
    actual: Coded | NDArray[np.float64]
    event_at: NDArray[np.int64]  # us; the receipt where the client gave none
    correction: NDArray[np.bool_] | None  # None: no row is one
    known_at: NDArray[np.int64] | None = None  # imports only
    origin: Origin = LABELS

    def __len__(self) -> int:
        return len(self.ids)
