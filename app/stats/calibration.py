"""Whether probabilities mean what they say: expected calibration error over equal-width bins.

Binary: of P(positive) and whether it happened. Multiclass: of the top class's probability and whether it was right.
"""

import numpy as np
from numpy.typing import NDArray

from app.stats.evidence import Estimates, Evidence, Given, notes, unlabelled
from app.stats.intervals import z_of
from app.stats.registry import BOTH, metric
from app.stats.tally import Tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ECE_BINS = 16
PLUG_IN = "plug-in over 16 equal-width bins: biased upwards, see the debiased form, and the interval, when rows are few"
NO_SEQUENCE = "the absolute value's kink leaves no honest sequence; watch brier or log_loss"


@metric(
    tasks=BOTH,
    direction="lower",
    needs_scores=True,
    needs_histogram=True,
    meaning="Mean distance of probability and frequency over 16 equal-width bins of the score.",
)
def ece(tally: Tally) -> Evidence:
    """Σ n_b/n |ȳ_b − p̄_b| (Naeini et al. 2015)."""
    claimed, hits, rows = tally.calibration(ECE_BINS)
    return Given(lambda level: _estimates(claimed, hits, rows, tally.scored, level), NO_SEQUENCE)


def errors(claimed: Floats, hits: Ints, rows: Ints) -> tuple[Floats, Floats, Floats]:
    """Σp, hits and rows [..., bins] → l1, plug-in l2², debiased l2² (Kumar, Liang and Ma 2019).

    The debiased form takes ȳ(1 − ȳ)/(n_b − 1) from each bin's squared gap; it may be negative, and its mean is 0
    where the model is calibrated (the plug-in l1 of such a model is .057 at n = 500). Bins with one row are left out
    of it.

    >>> [round(float(error), 3) for error in errors(np.array([1.0, 4.0]), np.array([2, 4]), np.array([10, 5]))]
    [0.067, 0.007, -0.019]
    """
    some = np.maximum(rows, 1)
    frequency, weight = hits / some, rows / np.maximum(rows.sum(axis=-1, keepdims=True), 1)
    gap = frequency - claimed / some
    noise = np.where(rows > 1, frequency * (1 - frequency) / np.maximum(rows - 1, 1), 0.0)
    square = np.where(rows > 1, gap**2, 0.0) - noise
    sums = ((weight * part).sum(axis=-1) for part in (np.abs(gap), gap**2, square))
    l1, plug_in, debiased = (np.asarray(part) for part in sums)
    return l1, plug_in, debiased


def debiased_l2(tally: Tally, bins: int = ECE_BINS) -> Floats:
    """[P] √max(debiased l2², 0) over `bins` equal-width bins (a divisor of 64); NaN without scored rows."""
    claimed, hits, rows = tally.calibration(bins)
    return np.where(rows.sum(axis=-1) > 0, np.sqrt(np.maximum(errors(claimed, hits, rows)[2], 0.0)), np.nan)


def _estimates(claimed: Floats, hits: Ints, rows: Ints, n: Ints, level: float) -> Estimates:
    """|plug-in − true| ≤ Σ_b |error of bin b| (triangle), whose quantile is that of Σ σ_b |Z_b|, about normal.

    One-sided, so the interval covers at least its level; about a calibrated model it reaches down to 0.
    """
    none = n == 0
    value = np.where(none, np.nan, errors(claimed, hits, rows)[0])
    sigma = _gap_error(claimed, hits, rows)
    z = z_of(2 * level - 1)
    with np.errstate(invalid="ignore"):
        reach = sigma.sum(axis=1) * np.sqrt(2 / np.pi) + z * np.sqrt((sigma**2).sum(axis=1) * (1 - 2 / np.pi))
    return Estimates(
        value=value,
        low=np.maximum(value - reach, 0.0),
        high=np.minimum(value + reach, 1.0),
        n=n,
        n_eff=n.astype(np.float64),
        method=("triangle over bins",) * n.size,
        bound=None,
        level=level,
        note=notes(unlabelled(n, "no labelled rows with scores"), PLUG_IN if n.any() else ""),
    )


def _gap_error(claimed: Floats, hits: Ints, rows: Ints) -> Floats:
    """Standard error of n_b/n (ȳ_b − p̄_b), [P, bins].

    Inside a bin y − p varies by no more than √(ȳ(1 − ȳ)) plus half the bin's width; one hit and one miss are added to
    ȳ so that a bin of equal outcomes still varies.
    """
    n, some = np.maximum(rows.sum(axis=1, keepdims=True), 1), np.maximum(rows, 1)
    frequency = (hits + 1) / (rows + 2)
    within = (np.sqrt(frequency * (1 - frequency)) + 0.5 / ECE_BINS) ** 2
    gap = (hits - claimed) / some
    share = rows / n
    return np.asarray(np.sqrt((share * (within + gap**2) - (share * gap) ** 2) / n))
