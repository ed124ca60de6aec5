"""The bins on which features are counted: fixed once per reference, so that counts of any time can be compared.

A feature's codes: 0 is a missing value. Numbers: 1 + how many edges are at or below the value. Categories: 1 + the
place of the name, and one more for every other name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.models.reference import ReferenceFeature
from app.tracking.batch import MISSING, Coded, Feature, Numbers

REFERENCE_ROWS = 10_000  # a bin of 1/32 then has some 310 rows: its share is known to a tenth of itself
MOST_BINS = 32  # of numbers; PSI and JS lose little against finer ones, and a histogram stays small
MOST_NAMES = 50  # of categories; the rest is one bin


@dataclass(frozen=True, slots=True)
class Bins:
    """Either `edges` (ascending, a number) or `names` (a category); `counts` of the reference, by code."""

    edges: tuple[float, ...] | None
    names: tuple[str, ...] | None
    counts: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many codes there are."""
        return len(self.edges) + 2 if self.edges is not None else len(self.names or ()) + 2

    def codes(self, feature: Feature) -> NDArray[np.int64]:
        """[n] code of each row; a value of the wrong kind counts as another name, or as missing."""
        if self.edges is not None:
            if not isinstance(feature, Numbers):
                return np.zeros(len(feature.codes), np.int64)
            bins = np.searchsorted(np.array(self.edges), feature.values, side="right") + 1
            return np.where(np.isnan(feature.values), 0, bins)
        if isinstance(feature, Numbers):
            return np.where(np.isnan(feature.values), 0, self.size - 1)
        place = {name: code for code, name in enumerate(self.names or (), start=1)}
        table = np.array([*(place.get(value, self.size - 1) for value in feature.values), 0], np.int64)
        return table[feature.codes]  # MISSING picks the last


def stated(feature: ReferenceFeature) -> Bins:
    """A reference that setup gave: what lies outside its edges belongs to the outer bins."""
    if isinstance(feature.bins[0], str):
        return Bins(None, tuple(str(name) for name in feature.bins), (0, *feature.counts, 0))
    return Bins(tuple(float(edge) for edge in feature.bins[1:-1]), None, (0, *feature.counts))


def found(features: Sequence[Feature]) -> Bins:
    """Bins of one feature from the first rows: quantiles of a number, the most frequent names of a category."""
    numbers = [feature for feature in features if isinstance(feature, Numbers)]
    if len(numbers) * 2 >= len(features):
        bins = Bins(_edges(np.concatenate([feature.values for feature in numbers])), None)
    else:
        bins = Bins(None, _names([feature for feature in features if isinstance(feature, Coded)]))
    counts = sum(np.bincount(bins.codes(feature), minlength=bins.size) for feature in features)
    return Bins(bins.edges, bins.names, tuple(int(count) for count in np.asarray(counts)))


def _edges(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Few distinct values: one bin each, and one below them. Else quantiles."""
    values = values[~np.isnan(values)]
    distinct = np.unique(values)
    if len(distinct) == 0:
        return ()
    if len(distinct) == 1:
        return float(distinct[0]), float(np.nextafter(distinct[0], np.inf))
    if len(distinct) < MOST_BINS:
        return tuple(distinct.tolist())
    steps = np.arange(1, MOST_BINS) / MOST_BINS
    return tuple(np.unique(np.quantile(values, steps, method="inverted_cdf")).tolist())


def _names(features: Iterable[Coded]) -> tuple[str, ...]:
    """The most frequent first; ties by name."""
    totals: dict[str, int] = {}
    for feature in features:
        rows = np.bincount(feature.codes[feature.codes != MISSING], minlength=len(feature.values))
        for name, count in zip(feature.values, rows.tolist(), strict=True):
            totals[name] = totals.get(name, 0) + count
    ordered = sorted((name for name, count in totals.items() if count), key=lambda name: (-totals[name], name))
    return tuple(ordered[:MOST_NAMES])


def absent(n: int) -> Numbers:
    """n rows without a value: a feature that a block lacks."""
    return Numbers(np.full(n, np.nan))


def as_json(bins: Mapping[str, Bins]) -> dict[str, dict[str, object]]:
    return {name: {"edges": one.edges, "names": one.names, "counts": one.counts} for name, one in bins.items()}


def from_json(stored: Mapping[str, Mapping[str, Sequence[object]]]) -> dict[str, Bins]:
    return {
        name: Bins(
            None if one["edges"] is None else tuple(float(str(edge)) for edge in one["edges"]),
            None if one["names"] is None else tuple(str(value) for value in one["names"]),
            tuple(int(str(count)) for count in one["counts"]),
        )
        for name, one in stored.items()
    }
