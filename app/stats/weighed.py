"""Metrics from labels that were bought with known probabilities: each row counts once for itself and for those like it
that were not asked (Hájek 1971).

The sums are whole numbers of fixed-point units, so parts merge in any order to the same bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.intervals import Interval, wilson
from app.stats.selective import KNOWN, LEAST_PROBABILITY
from app.stats.tested import interval, withheld

Bools = NDArray[np.bool_]

WEIGHT_BITS, SQUARE_BITS = 32, 24  # of the units of Σ1/π and Σ1/π²: 2³¹ and 2²³ rows of weight 200 fit in 63 bits


@dataclass(frozen=True, slots=True)
class Weighed:
    """Of `n` labelled rows: Σw and Σw² of all, and of the hits among them, w = 1/π, in units of 2^-32 and 2^-24."""

    n: int = 0
    all: int = 0
    all_squares: int = 0
    hits: int = 0
    hit_squares: int = 0

    @classmethod
    def of(cls, hit: ArrayLike, probability: ArrayLike) -> "Weighed":
        """
        >>> part = Weighed.of([True, False], [0.5, 1.0])
        >>> (part + part).n, (part + part).hits >> 32
        (4, 4)
        """
        hits, pi = np.asarray(hit, np.bool_), np.asarray(probability, np.float64)
        if hits.shape != pi.shape:
            raise ValueError(f"hit, probability: {hits.size} and {pi.size} rows")
        if not ((pi >= LEAST_PROBABILITY) & (pi <= 1)).all():
            raise ValueError(f"probability: each from {LEAST_PROBABILITY} to 1")
        weight = np.rint(2.0**WEIGHT_BITS / pi).astype(np.int64)
        square = np.rint(2.0**SQUARE_BITS / pi**2).astype(np.int64)
        sums = (int(part.sum()) for part in (weight, square, weight[hits], square[hits]))
        return cls(hits.size, *sums)

    def __add__(self, other: "Weighed") -> "Weighed":
        return Weighed(
            self.n + other.n,
            self.all + other.all,
            self.all_squares + other.all_squares,
            self.hits + other.hits,
            self.hit_squares + other.hit_squares,
        )

    def rate(self, *, level: float = 0.95, method: str = "hajek, wilson") -> Interval:
        """Σ hits / Σ all, with the linearised variance Σ (w (x − θ))² / (Σw)² · n / (n − 1).

        Wilson's interval with the smaller of Kish's n and the n that would have this variance, as `selective.hajek`.
        Fewer than two rows: none.

        >>> found = Weighed.of([1, 1, 0, 1, 1, 1, 1, 1], [0.5, 0.5, 1, 1, 0.5, 0.5, 0.5, 0.5]).rate()
        >>> round(found.value, 4), round(found.n_eff, 2), round(found.low, 3)
        (0.9286, 7.54, 0.576)
        """
        if self.n < 2:
            value = float(self.hits > 0) if self.n else np.nan
            return withheld(value, self.n, method, "needs two labelled rows", level=level)
        unit = 2.0 ** (2 * WEIGHT_BITS - SQUARE_BITS)
        value, total = self.hits / self.all, self.all * self.all / unit
        kish = total / self.all_squares
        misses = self.all_squares - self.hit_squares
        spread = self.hit_squares * (1 - value) ** 2 + misses * value**2
        variance = spread / total * self.n / (self.n - 1)
        size = min(kish, value * (1 - value) / variance) if variance > 0 else kish
        low, high = wilson(value * size, size, level)
        return interval(value, float(low), float(high), method, self.n, KNOWN, level=level, n_eff=size)


def weighed_metrics(
    actual: ArrayLike, predicted: ArrayLike, probability: ArrayLike, *, level: float = 0.95
) -> Mapping[str, Interval]:
    """Accuracy, precision, recall, specificity and F1 of a binary model (True: positive).

    Precision and recall are rates among predicted and actual positives; F1 is 2J/(1 + J) of J = tp / (tp + fp + fn).
    Stratify the sample by predicted class for precision, by score for recall.

    >>> found = weighed_metrics([1, 1, 0, 0], [1, 0, 0, 0], [1.0, 1.0, 0.5, 0.5])
    >>> round(found["accuracy"].value, 4), found["recall"].value
    (0.8333, 0.5)
    """
    truth, said, pi = np.asarray(actual, np.bool_), np.asarray(predicted, np.bool_), np.asarray(probability, np.float64)
    among: Mapping[str, tuple[Bools, Bools]] = {
        "accuracy": (truth == said, np.ones(truth.shape, np.bool_)),
        "precision": (truth, said),
        "recall": (said, truth),
        "specificity": (~said, ~truth),
        "f1": (truth & said, truth | said),
    }
    found = {name: Weighed.of(hit[rows], pi[rows]).rate(level=level) for name, (hit, rows) in among.items()}
    return found | {"f1": _by_jaccard(found["f1"])}


def _by_jaccard(j: Interval) -> Interval:
    value, low, high = (2 * part / (1 + part) for part in (j.value, j.low, j.high))
    return interval(value, low, high, f"jaccard, {j.method}", j.n, j.assumption, level=j.level, n_eff=j.n_eff)
