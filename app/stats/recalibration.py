"""What a score is worth: the chance of a hit by score bin, learned from labelled rows, with its own uncertainty.

Neighbouring bins are grouped until a group has 30 labelled rows; inside a group the model's own order is kept and its
log-odds are shifted to what happened. So it is exact on the reference, fine where labels are many, and every group's
error is that of one proportion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from app.stats.codes import SCORE_BINS, SCORE_EDGES, score_bin

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

GROUP = 30  # labelled rows: a proportion of fewer is hardly known
MIDDLES: Floats = (SCORE_EDGES[1:] + SCORE_EDGES[:-1]) / 2
_LOG_ODDS = logit(MIDDLES)


@dataclass(frozen=True, slots=True, eq=False)
class Recalibration:
    """`chance` [1024] of a hit; `response` [1024]: how far it moves when its group's frequency moves by one.

    `group` [1024] numbers the bins' groups, whose frequencies have `variance`. `share`: of the labels by group.
    """

    chance: Floats
    response: Floats
    group: Ints
    variance: Floats
    share: Floats
    labels: int

    @classmethod
    def of(
        cls, hits: ArrayLike, rows: ArrayLike, *, squares: ArrayLike | None = None, labels: int | None = None
    ) -> "Recalibration":
        """Labelled rows and hits among them by score bin [1024] (Family.CLASS_SCORE). Weighted rows: Σw, Σwy, and
        `squares` Σw², with the number of `labels`. No labels: all chances NaN.

        >>> rows = np.bincount(score_bin(np.full(100, 0.7)), minlength=1024)
        >>> found = Recalibration.of(rows * 0.6, rows)
        >>> round(float(found.chance[score_bin(np.array([0.7]))][0]), 6), round(float(found.variance[0]), 6)
        (0.6, 0.002404)
        """
        hit, row = np.asarray(hits, np.float64), np.asarray(rows, np.float64)
        square = row if squares is None else np.asarray(squares, np.float64)
        if hit.shape != (SCORE_BINS,) or row.shape != (SCORE_BINS,):
            raise ValueError(f"hits, rows: one of {SCORE_BINS} each, not {hit.shape} and {row.shape}")
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = np.where(square > 0, row / square, 0.0) * row  # Kish, by bin
        group = _groups(effective)
        g_hit, g_row, g_square = (np.bincount(group, part).astype(np.float64) for part in (hit, row, square))
        total = int(row.sum()) if labels is None else labels
        if total == 0:
            nothing = np.full(SCORE_BINS, np.nan)
            return cls(nothing, nothing, group, np.full(g_row.size, np.nan), g_row, 0)
        chance = expit(_LOG_ODDS + _shifts(g_hit, g_row, group, row)[group])
        slope = chance * (1 - chance)
        mean_slope = np.bincount(group, row * slope) / np.maximum(g_row, 1e-300)
        response = np.divide(slope, mean_slope[group], out=np.ones(SCORE_BINS), where=mean_slope[group] > 1e-12)
        smooth = (g_hit + g_square / np.maximum(g_row, 1e-300)) / (g_row + 2 * g_square / np.maximum(g_row, 1e-300))
        variance = smooth * (1 - smooth) * g_square / np.maximum(g_row, 1e-300) ** 2
        return cls(chance, response, group, variance, g_row / row.sum(), total)

    @classmethod
    def of_rows(cls, score: ArrayLike, hit: ArrayLike, weight: ArrayLike | None = None) -> "Recalibration":
        """From labelled rows: score in [0, 1], whether it hit, and a weight each."""
        bins = score_bin(np.asarray(score, np.float64))
        happened = np.asarray(hit, np.float64)
        if weight is None:
            return cls.of(np.bincount(bins, happened, SCORE_BINS), np.bincount(bins, minlength=SCORE_BINS))
        w = np.asarray(weight, np.float64)
        sums = (np.bincount(bins, part, SCORE_BINS) for part in (w * happened, w, w**2))
        hits, rows, squares = sums
        return cls.of(hits, rows, squares=squares, labels=bins.size)


def _groups(rows: Floats) -> Ints:
    """Numbers of consecutive bins with at least `GROUP` rows together; what is left over joins the last."""
    upto = np.cumsum(rows)
    group, start, number = np.zeros(rows.size, np.intp), 0, 0
    taken = 0.0
    while upto[-1] - taken >= 2 * GROUP:
        end = int(np.searchsorted(upto, taken + GROUP - 1e-9)) + 1
        if upto[-1] - upto[end - 1] < GROUP:
            break
        group[start:end] = number
        start, taken, number = end, float(upto[end - 1]), number + 1
    group[start:] = number
    return group


def _shifts(hits: Floats, rows: Floats, group: Ints, weight: Floats) -> Floats:
    """Of log-odds, by group: the expected hits become those seen; ±60 where none or all hit."""
    low, high = np.full(hits.size, -60.0), np.full(hits.size, 60.0)
    for _ in range(50):
        middle = (low + high) / 2
        expected = np.bincount(group, weight * expit(_LOG_ODDS + middle[group]))
        over = expected > hits
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.where(hits <= 0, -60.0, np.where(hits >= rows, 60.0, (low + high) / 2))
