"""Two histograms on the same bins: PSI, Jensen-Shannon and χ², each with the law it follows when nothing has changed.

Arrays [..., bins] broadcast, so a year of hourly counts against one reference is one call.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, chdtri

from app.stats.intervals import z_of

Floats = NDArray[np.float64]

ADDED = 0.5
LEAST_EXPECTED = 5.0  # below, χ² is no longer near its law (Cochran 1954)
SPARSE_SHARE = 0.2  # of the bins may expect less (the same rule)


@dataclass(frozen=True, slots=True)
class Divergences:
    """Per pair of histograms. `js` in nats, its distance is the root; `*_low`, `*_high` limits at `level`.

    p: NaN where too few were counted for the law (a fifth of the bins expect less than 5), or either is empty.
    """

    psi: Floats
    psi_low: Floats
    psi_high: Floats
    psi_p: Floats
    js: Floats
    js_low: Floats
    js_high: Floats
    chi2: Floats
    g: Floats
    p: Floats  # of G
    df: Floats
    n: Floats
    level: float


def divergences(reference: ArrayLike, current: ArrayLike, *, level: float = 0.95, added: float = ADDED) -> Divergences:
    """Bins empty on both sides are left out. `added` to every count of PSI, which is ∞ at an empty bin without.

    PSI / (1/n + 1/m) and 8 JS / (1/n + 1/m) follow χ² with bins − 1 degrees under no change (Yurdakul and Naranjo
    2020), about a non-central one under a small change; the limits invert that by Sankaran's root (1959), or take the
    delta method's where those are wider (a large change).

    >>> found = divergences([100] * 10, [62, 55, 48, 50, 51, 47, 53, 49, 45, 40])
    >>> round(float(found.psi), 8), round(float(found.psi_p), 6), round(float(found.js), 8), round(float(found.p), 6)
    (0.01234786, 0.903616, 0.00157203, 0.898157)
    """
    ref, cur = _counts(reference, current)
    n, m = ref.sum(axis=-1), cur.sum(axis=-1)
    used = ref + cur > 0
    df = np.maximum(used.sum(axis=-1) - 1, 0).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / n + 1 / m
        psi, psi_reach = _psi(ref, cur, used, added * (df + 1), added)
        js, js_reach = _js(ref, cur)
        chi2, g = _chi2(ref, cur, used), _g(ref, cur)
        psi_low, psi_high = _limits(psi, scale, df, psi_reach, level)
        js_low, js_high = _limits(js, scale / 8, df, js_reach, level)
        known = (n > 0) & (m > 0) & ~_sparse(ref, cur, used) & (df > 0)
        psi_p, p = (np.where(known, chdtrc(np.maximum(df, 1), x), np.nan) for x in (psi / scale, g))
    return Divergences(psi, psi_low, psi_high, psi_p, js, js_low, js_high, chi2, g, p, df, m, level)


def psi_critical(bins: int, n: int, m: int, level: float = 0.95) -> float:
    """What PSI exceeds by chance with probability 1 − level. The folklore 0.1 is this at n = m = 340 and 10 bins.

    >>> round(psi_critical(10, 500, 500), 6), round(psi_critical(10, 1_000_000, 1_000_000), 9)
    (0.067676, 3.3838e-05)
    """
    return float(chdtri(bins - 1, 1 - level) * (1 / n + 1 / m))


def permuted_js(
    reference: ArrayLike, current: ArrayLike, random: np.random.Generator, *, permutations: int = 999
) -> float:
    """Exact p of the Jensen-Shannon divergence of two histograms [bins], whatever the counts.

    Rows are dealt to the two sides anew: drawn from all of them without replacement. NaN where one is empty.

    >>> permuted_js([30, 10, 2], [8, 20, 9], np.random.default_rng(0), permutations=199)
    0.005
    """
    ref, cur = np.asarray(reference, np.int64), np.asarray(current, np.int64)
    total, n = ref + cur, int(ref.sum())
    if n == 0 or cur.sum() == 0:
        return float("nan")
    dealt = random.multivariate_hypergeometric(total, n, size=permutations, method="marginals")
    seen = float(_js(*_counts(ref, cur))[0])
    beyond = int((_js(*_counts(dealt, total - dealt))[0] >= seen * (1 - 1e-9)).sum())
    return (1 + beyond) / (permutations + 1)


def pooled(reference: ArrayLike, current: ArrayLike, *, ordered: bool) -> tuple[Floats, Floats]:
    """Bins joined until each expects 5 in both: neighbours of a number's (`ordered`), the rarest of categories.

    One bin is left when there are too few rows.

    >>> pooled([50, 3, 2, 45], [40, 1, 3, 56], ordered=False)[0].tolist()
    [55.0, 45.0]
    """
    ref, cur = _counts(reference, current)
    total = ref + cur
    smaller = min(ref.sum(), cur.sum())
    enough = LEAST_EXPECTED * total.sum() / smaller if smaller > 0 else np.inf
    order = np.arange(total.size) if ordered else np.argsort(total, kind="stable")
    place, group, held = np.empty(total.size, np.intp), 0, 0.0
    for i in order:
        place[i] = group
        held += total[i]
        if held >= enough:
            group, held = group + 1, 0.0
    last = max(group - (held < enough), 0)  # what is left over joins the group before it
    place = np.minimum(place, last)
    first = np.unique(place, return_index=True)[1]
    sums = np.bincount(place, ref), np.bincount(place, cur)
    by_first = np.argsort(first) if ordered else np.arange(first.size)
    return sums[0][by_first].astype(np.float64), sums[1][by_first].astype(np.float64)


def _counts(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    ref, cur = np.broadcast_arrays(np.asarray(reference, np.float64), np.asarray(current, np.float64))
    if ref.shape[-1] == 0 or (ref < 0).any() or (cur < 0).any():
        raise ValueError("reference, current: counts of at least one bin are needed")
    return ref, cur


def _psi(ref: Floats, cur: Floats, used: NDArray[np.bool_], more: Floats, added: float) -> tuple[Floats, Floats]:
    """PSI, and the delta method's standard error."""
    n, m = ref.sum(axis=-1, keepdims=True), cur.sum(axis=-1, keepdims=True)
    more = more[..., np.newaxis]
    p, q = np.where(used, (ref + added) / (n + more), 1.0), np.where(used, (cur + added) / (m + more), 1.0)
    ratio = np.log(q / p)
    value = np.asarray(((q - p) * ratio).sum(axis=-1))
    slope_q, slope_p = ratio + 1 - p / q, -ratio + 1 - q / p
    p, q = np.where(used, p, 0.0), np.where(used, q, 0.0)
    return value, _error(q, slope_q, m, p, slope_p, n)


def _js(ref: Floats, cur: Floats) -> tuple[Floats, Floats]:
    n, m = ref.sum(axis=-1, keepdims=True), cur.sum(axis=-1, keepdims=True)
    p, q = ref / n, cur / m
    middle = np.where(p + q > 0, (p + q) / 2, 1.0)
    to_p, to_q = np.where(p > 0, p, middle) / middle, np.where(q > 0, q, middle) / middle
    slope_p, slope_q = np.log(to_p) / 2, np.log(to_q) / 2
    value = np.asarray((p * slope_p + q * slope_q).sum(axis=-1))
    return np.maximum(value, 0.0), _error(q, slope_q, m, p, slope_p, n)


def _error(q: Floats, slope_q: Floats, m: Floats, p: Floats, slope_p: Floats, n: Floats) -> Floats:
    def variance(share: Floats, slope: Floats) -> Floats:
        weighed = share * slope
        return np.asarray((weighed * slope).sum(axis=-1) - weighed.sum(axis=-1) ** 2)

    return np.asarray(np.sqrt(np.maximum(variance(q, slope_q) / m[..., 0] + variance(p, slope_p) / n[..., 0], 0.0)))


def _limits(value: Floats, scale: Floats, df: Floats, error: Floats, level: float) -> tuple[Floats, Floats]:
    """Of the true divergence, whose estimate is about `scale` times a non-central χ²."""
    z, shift = z_of(level), np.maximum(df - 1, 0) / 2
    root = np.sqrt(np.maximum(value / scale - shift, 0.0))
    far = z * error
    low = np.minimum(np.maximum(root - z, 0.0) ** 2 - shift, (value - far) / scale - df) * scale
    high = np.maximum((root + z) ** 2 - shift, (value + far) / scale) * scale
    return np.maximum(low, 0.0), np.maximum(high, 0.0)


def _chi2(ref: Floats, cur: Floats, used: NDArray[np.bool_]) -> Floats:
    """Pearson's, of the 2 × bins table."""
    n, m = ref.sum(axis=-1, keepdims=True), cur.sum(axis=-1, keepdims=True)
    away = np.sqrt(m / n) * ref - np.sqrt(n / m) * cur
    return np.asarray((away**2 / np.where(used, ref + cur, 1.0)).sum(axis=-1))


def _g(ref: Floats, cur: Floats) -> Floats:
    """2 Σ observed ln(observed / expected)."""
    n, m = ref.sum(axis=-1), cur.sum(axis=-1)
    inner = (_count_log(ref) + _count_log(cur) - _count_log(ref + cur)).sum(axis=-1)
    return np.asarray(np.maximum(2 * (inner - _count_log(n) - _count_log(m) + _count_log(n + m)), 0.0))


def _count_log(counts: Floats) -> Floats:
    """c log c of whole numbers, 0 at 0; several times faster than xlogy."""
    return np.asarray(counts * np.log(np.maximum(counts, 1.0)))


def _sparse(ref: Floats, cur: Floats, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    n, m = ref.sum(axis=-1, keepdims=True), cur.sum(axis=-1, keepdims=True)
    expected = (ref + cur) * np.minimum(n, m) / (n + m)
    few = (used & (expected < LEAST_EXPECTED)).sum(axis=-1)
    return np.asarray(few > SPARSE_SHARE * used.sum(axis=-1))
