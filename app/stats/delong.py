"""Areas under the ROC curve from rows, exactly, with the covariance of several scores of the same rows."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def delong(actual: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Exact areas and their covariance from rows, scores [s, n] of the same rows (DeLong 1988; Sun and Xu 2014).

    >>> areas, _ = delong(np.array([True, False, True]), np.array([[0.9, 0.1, 0.4]]))
    >>> areas.tolist()
    [1.0]
    """
    actual = np.asarray(actual, np.bool_)
    placed = np.stack([_placements(actual, row) for row in scores])
    of_positives, of_negatives = placed[:, actual], placed[:, ~actual]
    return of_positives.mean(axis=1), _covariance(of_positives) + _covariance(of_negatives)


def _covariance(placements: Floats) -> Floats:
    """Of the mean placements [s, n]; NaN for n < 2."""
    n = placements.shape[1]
    away = placements - placements.mean(axis=1, keepdims=True)
    return away @ away.T / (n * (n - 1)) if n > 1 else np.full((len(away), len(away)), np.nan)


def _placements(actual: NDArray[np.bool_], score: Floats) -> Floats:
    """[n] of a positive the share of negatives below it, of a negative that of positives above it; ties half.

    One sort of all rows; the ranks inside the two outcomes that Sun and Xu subtract are not needed.
    """
    order = np.argsort(score)
    positive, ordered = actual[order], score[order]
    hits = np.cumsum(positive, dtype=np.intp)
    misses = np.arange(1, hits.size + 1) - hits
    m, n = max(int(hits[-1]), 1), max(int(misses[-1]), 1)
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if first.size == order.size:
        placed = np.where(positive, misses / n, 1 - hits / m)
    else:
        place, last = np.repeat(np.arange(first.size), np.diff(first, append=order.size)), _ends(first, order.size)
        below, above = _middles(misses, last) / n, 1 - _middles(hits, last) / m
        placed = np.where(positive, below[place], above[place])
    result = np.empty(order.size)
    result[order] = placed
    return result


def _ends(first: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    return np.append(first[1:], size) - 1


def _middles(cumulated: NDArray[np.intp], last: NDArray[np.intp]) -> Floats:
    """Of runs of ties: the count below and half of that inside."""
    upto = cumulated[last]
    return (upto + np.concatenate(([0], upto[:-1]))) / 2
