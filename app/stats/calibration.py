"""Whether probabilities mean what they say: expected calibration error over equal-width bins.

Binary: of P(positive) and whether it happened. Multiclass: of the top class's probability and whether it was right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrik

from app.stats.claims import Claims, over_bins
from app.stats.evidence import IID, Estimates, Evidence, Given, counted, notes, unlabelled
from app.stats.intervals import Validity, proportion, z_of
from app.stats.registry import BOTH, metric
from app.stats.tally import Tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ECE_BINS = 16
PLUG_IN = "plug-in over 16 equal-width bins: biased upwards when rows are few; ece_debiased is not"
BY_CHANCE = "a calibrated model shows as much by chance"
NONE_SEEN = "no error beyond chance"
NO_SEQUENCE = "the absolute value's kink leaves no honest sequence; watch brier or log_loss"


@metric(
    tasks=BOTH,
    direction="lower",
    needs_scores=True,
    needs_histogram=True,
    meaning="Mean distance of probability and frequency over 16 equal-width bins of the score.",
)
def ece(tally: Tally) -> Evidence:
    """Σ n_b/n |ȳ_b − p̄_b| (Naeini et al. 2015). The note counts the points that lie in the consistency band: no larger
    than what a calibrated model would show with these scores in 19 of 20 cases.
    """
    claims = tally.claims(ECE_BINS)
    return Given(lambda level: _plug_in(claims, tally.scored, level), NO_SEQUENCE)


@metric(
    tasks=BOTH,
    direction="lower",
    needs_scores=True,
    needs_histogram=True,
    meaning="Root mean squared distance of probability and frequency over 16 bins, less what chance alone shows.",
)
def ece_debiased(tally: Tally) -> Evidence:
    """√max(debiased l2², 0), see `Claims`; about 0 for a calibrated model however few its rows."""
    claims = tally.claims(ECE_BINS)
    return Given(lambda level: _debiased(claims, tally.scored, level), NO_SEQUENCE)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A reliability diagram, each [P, bins]: `claimed` probability, `frequency` with its interval, `rows`.

    `chance_low`, `chance_high`: where the frequency of a calibrated model lies at `level`, bin by bin (the consistency
    band of Bröcker and Smith 2007). NaN in empty bins.
    """

    claimed: Floats
    frequency: Floats
    low: Floats
    high: Floats
    chance_low: Floats
    chance_high: Floats
    rows: Ints
    n: Ints
    level: float
    method: str = "frequencies by clopper-pearson or wilson; the band by the binomial law"
    assumption: str = IID
    validity: Validity = "fixed-n"


def reliability(tally: Tally, bins: int = ECE_BINS, *, level: float = 0.95) -> Reliability:
    """Over `bins` equal-width bins (a divisor of 64).

    In a bin the claims' mean stands for all: p (1 − p) is concave, so the band is too wide, if anything.

    >>> from app.stats.tally import Shape, Sparse, Task
    >>> found = reliability(Tally.of(Shape(Task.BINARY, 2), 1, Sparse.empty()), 4)
    >>> found.rows.tolist(), bool(np.isnan(found.claimed).all())
    ([[0, 0, 0, 0]], True)
    """
    claims = tally.claims(bins)
    hits, rows = claims.hits, claims.rows
    low, high, _ = proportion(hits, rows, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        claim, frequency = claims.claimed / rows, hits / rows
        band = [_binomial_quantile(q, rows, claim) / rows for q in (0.5 - level / 2, 0.5 + level / 2)]
    some = rows > 0
    low, high, least, most = (np.where(some, part, np.nan) for part in (low, high, *band))
    return Reliability(claim, frequency, low, high, least, most, rows, tally.scored, level)


def _binomial_quantile(q: float, n: Ints, p: Floats) -> Floats:
    """The least k with P(X ≤ k) ≥ q."""
    inside = np.clip(np.nan_to_num(p), 1e-12, 1 - 1e-12)
    found = np.ceil(bdtrik(q, np.maximum(n, 1), inside))
    before = np.maximum(found - 1, 0.0)
    return np.asarray(np.where(bdtr(before, np.maximum(n, 1), inside) >= q, before, found))


def isotonic(hits: ArrayLike, rows: ArrayLike) -> Floats:
    """[bins] chance of a hit by score bin that never falls with the score (pool adjacent violators, Ayer et al. 1955);
    bins without rows take their lower neighbour's, the first ones the next one's. NaN without rows.

    >>> isotonic([1, 3, 0, 8], [10, 10, 0, 10]).tolist(), isotonic([6, 2], [10, 10]).tolist()
    ([0.1, 0.3, 0.3, 0.8], [0.4, 0.4])
    """
    hit, row = np.asarray(hits, np.float64), np.asarray(rows, np.float64)
    used = np.flatnonzero(row > 0)
    if not used.size:
        return np.full(row.shape, np.nan)
    blocks: list[tuple[float, float, int]] = []  # hits, rows, bins
    for bin_hits, bin_rows in zip(hit[used].tolist(), row[used].tolist(), strict=True):
        blocks.append((bin_hits, bin_rows, 1))
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            (h1, n1, k1), (h2, n2, k2) = blocks.pop(), blocks.pop()
            blocks.append((h1 + h2, n1 + n2, k1 + k2))
    fitted = np.repeat([h / n for h, n, _ in blocks], [size for *_, size in blocks])
    return np.asarray(fitted[np.maximum(np.searchsorted(used, np.arange(row.size), side="right") - 1, 0)])


def by_chance(claims: Claims, level: float) -> Floats:
    """[P] what the plug-in error of a calibrated model exceeds with probability 1 − level.

    >>> claims = Claims(np.full(10, 25.0), np.full(10, 20), np.full(10, 50))
    >>> round(float(by_chance(claims, 0.95)), 3)
    0.079
    """
    n, rows = np.maximum(claims.rows.sum(axis=-1, keepdims=True), 1), np.maximum(claims.rows, 1)
    chance = np.clip(claims.claimed / rows, 0.0, 1.0)
    return _sum_of_sizes(claims.rows * chance * (1 - chance) / n**2, level)


def _sum_of_sizes(square: Floats, level: float) -> Floats:
    """The quantile of Σ σ_b |Z_b|, about normal; from [..., bins] of σ²."""
    spread = np.sqrt(over_bins(square) * (1 - 2 / np.pi))
    return np.asarray(over_bins(np.sqrt(square)) * np.sqrt(2 / np.pi) + z_of(2 * level - 1) * spread)


def _debiased(claims: Claims, n: Ints, level: float) -> Estimates:
    """By the triangle in the weighted l2 norm: |plug-in − true| ≤ √Σ w_b e_b², whose square is about normal."""
    none = n == 0
    spread = claims.error_square / np.where(claims.rows > 0, claims.share, 1.0)
    noise = np.sqrt(2 * over_bins(spread**2))
    reach = np.sqrt(over_bins(spread) + z_of(2 * level - 1) * noise)
    found, root = np.sqrt(np.maximum(claims.debiased_square, 0.0)), np.sqrt(claims.plug_in_square)
    return Estimates(
        value=np.where(none, np.nan, found),
        low=np.where(none, np.nan, np.maximum(root - reach, 0.0)),
        high=np.where(none, np.nan, np.minimum(root + reach, 1.0)),
        n=n,
        n_eff=n.astype(np.float64),
        method=("triangle over bins, squared",) * n.size,
        bound=None,
        level=level,
        note=notes(
            unlabelled(n, "no labelled rows with scores"), counted(~none & (claims.debiased_square <= 0), NONE_SEEN)
        ),
    )


def _plug_in(claims: Claims, n: Ints, level: float) -> Estimates:
    """|plug-in − true| ≤ Σ_b |error of bin b| (triangle), whose quantile is that of Σ σ_b |Z_b|, about normal.

    One-sided, so the interval covers at least its level; about a calibrated model it reaches down to 0.
    """
    none = n == 0
    value = np.where(none, np.nan, claims.plug_in)
    reach = _sum_of_sizes(claims.error_square, level)
    with np.errstate(invalid="ignore"):
        within = ~none & (value <= by_chance(claims, level))
    return Estimates(
        value=value,
        low=np.maximum(value - reach, 0.0),
        high=np.minimum(value + reach, 1.0),
        n=n,
        n_eff=n.astype(np.float64),
        method=("triangle over bins",) * n.size,
        bound=None,
        level=level,
        note=notes(
            unlabelled(n, "no labelled rows with scores"), PLUG_IN if n.any() else "", counted(within, BY_CHANCE)
        ),
    )
