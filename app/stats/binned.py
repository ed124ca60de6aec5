"""Numbers known only by counts between fixed edges: their distribution functions, and how far two are apart.

Arrays [..., bins] broadcast, so a year of hourly counts is one call. k edges make k + 1 bins, the outer two open.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import kolmogi

from app.stats.ecdf import ks_p
from app.stats.intervals import z_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gaps:
    """Per pair: the largest gap of the distribution functions at an edge, and the area between them in reference sds.

    Neither sees what happens inside a bin or beyond the outer edges, so both are at most the true distance (the area
    up to the straight line inside a bin); p is conservative.
    """

    ks: Floats
    ks_low: Floats
    ks_high: Floats
    p: Floats
    wasserstein: Floats
    wasserstein_low: Floats
    wasserstein_high: Floats


def gaps(reference: ArrayLike, current: ArrayLike, edges: ArrayLike, *, level: float = 0.95) -> Gaps:
    """NaN where either is empty; the area where all of the reference is in one bin.

    >>> found = gaps([25, 25, 25, 25], [10, 20, 30, 40], [1, 2, 3])
    >>> round(float(found.ks), 3), round(float(found.wasserstein), 3), round(float(found.p), 4)
    (0.2, 0.443, 0.0314)
    """
    ref, cur = np.broadcast_arrays(np.asarray(reference, np.float64), np.asarray(current, np.float64))
    places = np.asarray(edges, np.float64)
    if ref.shape[-1] != places.size + 1:
        raise ValueError(f"edges: {places.size} of them bound {places.size + 1} bins, not {ref.shape[-1]}")
    n, m = ref.sum(axis=-1), cur.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.cumsum(ref, axis=-1)[..., :-1] / n[..., np.newaxis]
        g = np.cumsum(cur, axis=-1)[..., :-1] / m[..., np.newaxis]
        away = g - f
        largest = np.abs(away).max(axis=-1, initial=0.0)
        effective = n * m / (n + m)
        reach = float(kolmogi(1 - level)) / np.sqrt(effective)
        known = (n > 0) & (m > 0)
        area, low, high = _area(ref, cur, f, g, places, level)
    return Gaps(
        ks=np.where(known, largest, np.nan),
        ks_low=np.where(known, np.maximum(largest - reach, 0.0), np.nan),
        ks_high=np.where(known, np.minimum(largest + reach, 1.0), np.nan),
        p=np.where(known, ks_p(largest, np.where(known, effective, 1.0)), np.nan),
        wasserstein=area,
        wasserstein_low=low,
        wasserstein_high=high,
    )


def _area(ref: Floats, cur: Floats, f: Floats, g: Floats, edges: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    """The area and its limits, as `ecdf.wasserstein` bounds them, in standard deviations of the reference."""
    width = np.diff(edges)
    one, other = (g - f)[..., :-1], (g - f)[..., 1:]
    total = np.abs(one) + np.abs(other)
    crossed = np.divide(one**2 + other**2, 2 * total, out=np.zeros_like(total), where=total > 0)
    area = (np.where(one * other >= 0, total / 2, crossed) * width).sum(axis=-1)
    n, m = ref.sum(axis=-1), cur.sum(axis=-1)
    sd, own = _deviation(ref, edges), _deviation(cur, edges)
    bias = np.sqrt(2 / np.pi) * (_spread(f, width) / np.sqrt(n) + _spread(g, width) / np.sqrt(m))
    half = z_of(level) * np.sqrt(sd**2 / n + own**2 / m)
    unit = np.where(sd > 0, sd, np.nan)
    return area / unit, np.maximum(area - bias - half, 0.0) / unit, (area + half) / unit


def _deviation(counts: Floats, edges: Floats) -> Floats:
    """With every row at the middle of its bin, or at the outer edge."""
    if not edges.size:
        return np.zeros(counts.shape[:-1])
    middle = np.concatenate((edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]))
    middle = middle - middle.mean()
    n = counts.sum(axis=-1)
    return np.asarray(np.sqrt(np.maximum(counts @ middle**2 / n - (counts @ middle / n) ** 2, 0.0)))


def _spread(f: Floats, width: Floats) -> Floats:
    root = np.sqrt(np.maximum(f * (1 - f), 0.0))
    return np.asarray(root @ (np.append(width, 0.0) + np.append(0.0, width)) / 2)  # trapezoids
