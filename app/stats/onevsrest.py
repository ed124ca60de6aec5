"""What areas under curves share: problems of one class against the rest, and the macro average over the classes that
have both outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.stats.evidence import counted, notes, unlabelled
from app.stats.tally import Tally

Floats = NDArray[np.float64]

ROUNDING = 1e-12  # float64 sums of a thousand bins; joins the certified bound
ONE_OUTCOME = "undefined, the scored rows have only one outcome"


@dataclass(frozen=True, slots=True)
class Problems:
    """Arrays of one length [R], or [P, c] by class."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One after another."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)]) for name in names))

    def by_class(self, tally: Tally) -> Self:
        """[R] → [P, c]"""
        shape = (tally.points, tally.score_classes)
        return type(self)(*(getattr(self, field.name).reshape(shape) for field in fields(self)))


def macro(values: Floats, usable: NDArray[np.bool_]) -> Floats:
    """Mean over the usable classes; NaN where there is none.

    >>> macro(np.array([[0.5, 0.7], [0.9, 0.1]]), np.array([[True, True], [False, False]])).tolist()
    [0.6, nan]
    """
    count = usable.sum(axis=1)
    total = np.where(usable, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def undefined(tally: Tally, value: Floats) -> str:
    """Why points have no value.

    >>> from app.stats.tally import Shape, Sparse, Task
    >>> undefined(Tally.of(Shape(Task.BINARY, 2), 1, Sparse.empty()), np.array([np.nan]))
    '1 point: no labelled rows with scores'
    """
    return notes(
        unlabelled(tally.scored, "no labelled rows with scores"),
        counted((tally.scored > 0) & np.isnan(value), ONE_OUTCOME),
    )
