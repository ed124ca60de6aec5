"""Two samples compared by their distribution functions: Kolmogorov-Smirnov, Wasserstein, Anderson-Darling.

The reference is sorted once; a current sample is sorted and merged into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, kolmogi, kolmogorov

from app.stats.intervals import z_of
from app.stats.tested import Tested, interval, withheld

Floats = NDArray[np.float64]

DRAWS = "both samples are independent draws"
NULL = "both samples come from one distribution"
PERMUTATIONS, DEALT = 999, 1 << 20  # deals, and rows dealt at once
EXACT_CELLS = 4_000_000  # lattice points counted for an exact p, about 50 ms; the limit law is within 1 % from there


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """A sample in order, without NaN, with what the comparisons need of it alone.

    `spread`: ∫ √(F(1 − F)), the scale on which its distance from the truth is measured.
    """

    values: Floats
    sd: float
    spread: float

    @classmethod
    def of(cls, sample: ArrayLike) -> "Sorted":
        """
        >>> Sorted.of([3, 1, np.nan, 2]).values.tolist()
        [1.0, 2.0, 3.0]
        """
        values = np.sort(np.asarray(sample, np.float64), axis=None)  # NaN last
        values = values[: np.searchsorted(values, np.nan)]
        if values.size and not (np.isfinite(values[0]) and np.isfinite(values[-1])):
            raise ValueError("sample: infinite values have no distance")
        return cls(values, float(values.std()) if values.size else np.nan, _spread(values))

    def __len__(self) -> int:
        return self.values.size


def _spread(ordered: Floats) -> float:
    """∫ √(F(1 − F)) over at most some 2,000 quantiles: F(1 − F) is concave, so the coarse integral is a little low."""
    thinned = ordered[:: max(1, ordered.size // 2000)]
    level = np.arange(1, thinned.size) / max(thinned.size, 1)
    return float(np.dot(np.sqrt(level * (1 - level)), np.diff(thinned)))


@dataclass(frozen=True, slots=True)
class Distances:
    """Largest and integrated distance of two distribution functions."""

    ks: float
    wasserstein: float


def distances(reference: Sorted, current: Sorted) -> Distances:
    """Exact, ties included. NaN for an empty sample.

    >>> found = distances(Sorted.of([0, 1, 2, 3]), Sorted.of([1, 2, 3, 4]))
    >>> found.ks, found.wasserstein
    (0.25, 1.0)
    """
    n, m = len(reference), len(current)
    if n == 0 or m == 0:
        return Distances(np.nan, np.nan)
    upto = np.searchsorted(reference.values, current.values, side="right")
    below = _below(reference.values, current.values, upto)
    place = np.arange(m)
    over, under = float(((place + 1) / m - upto / n).max()), float((below / n - place / m).max())
    del below, place  # a column of a million rows: each of these is 8 MB
    return Distances(max(over, under, 0.0), _area_between(reference.values, current.values, upto))


def _area_between(ref: Floats, cur: Floats, upto: NDArray[np.intp]) -> float:
    """∫|F − G| without merging the samples: between two current values G is constant and F only rises.

    ∫F up to x is (count · x − sum) / n of the reference values below x, so each stretch costs two look-ups; the few in
    which F crosses G are cut at the crossing.
    """
    n, m = ref.size, cur.size
    center = ref[n // 2]
    sums = np.zeros(n + 1)  # of the reference values less the center, before each of them
    np.subtract(ref, center, out=sums[1:])
    np.cumsum(sums, out=sums)
    x = cur - center
    filled = (upto * x - sums[upto]) / n
    level = np.arange(1, m) / m  # G after each current value but the last
    inner = np.diff(filled) - level * np.diff(x)
    cross = np.flatnonzero((upto[:-1] < level * n) & (level * n < upto[1:]))
    at = np.minimum(np.floor(level[cross] * n).astype(np.intp), n - 1)  # the value at which F passes G
    where = ref[at] - center
    first = (at * where - sums[at]) / n - filled[cross] - level[cross] * (where - x[cross])
    cut = np.abs(first) + np.abs(inner[cross] - first)
    np.abs(inner, out=inner)
    inner[cross] = cut
    right = ((sums[-1] - sums[upto[-1]]) - (n - upto[-1]) * x[-1]) / n
    return float(inner.sum() + filled[0] + right)


def _below(ref: Floats, cur: Floats, upto: NDArray[np.intp]) -> NDArray[np.intp]:
    """How many reference values are smaller; searched for again only where a value is in both samples."""
    tied = np.flatnonzero((upto > 0) & (ref[np.maximum(upto - 1, 0)] == cur))
    if not tied.size:
        return upto
    below = upto.copy()
    below[tied] = np.searchsorted(ref, cur[tied], side="left")
    return below


def ks(reference: Sorted, current: Sorted, *, level: float = 0.95, statistic: float | None = None) -> Tested:
    """Two-sample Kolmogorov-Smirnov. p: exact while cheap, else Kolmogorov's law; with ties conservative.

    Interval: D ± Kolmogorov's quantile · √(1/n + 1/m), which covers the true distance whatever it is.

    >>> found = ks(Sorted.of(np.arange(50.0)), Sorted.of(np.arange(50.0) + 20))
    >>> found.statistic, round(found.p, 6), round(found.effect.low, 3)
    (0.4, 0.000582, 0.128)
    """
    n, m = len(reference), len(current)
    method = "kolmogorov-smirnov"
    if n == 0 or m == 0:
        return Tested(withheld(np.nan, m, method, "an empty sample"), np.nan, np.nan, NULL)
    d = distances(reference, current).ks if statistic is None else statistic
    return ks_of(d, n, m, exact=n * m <= EXACT_CELLS, level=level)


def ks_of(d: float, n: int, m: int, *, exact: bool = False, level: float = 0.95) -> Tested:
    """The test of a distance already measured; of a binned one it is conservative.

    >>> round(ks_of(0.1, 1000, 1000).p, 6)
    8.1e-05
    """
    effective = n * m / (n + m)
    p = exact_p(d, n, m) if exact else ks_p(d, effective)
    reach = float(kolmogi(1 - level)) / np.sqrt(effective)
    method = f"kolmogorov-smirnov, {'exact' if exact else 'limit law'}"
    effect = interval(d, max(d - reach, 0.0), min(d + reach, 1.0), method, m, DRAWS, level=level, n_eff=effective)
    return Tested(effect, float(d), float(p), NULL)


def ks_p(d: ArrayLike, effective: ArrayLike) -> Floats:
    """Kolmogorov's law with Stephens's correction (1970) for `effective` = nm/(n + m).

    >>> ks_p([0.05, 0.1], 500).round(4).tolist()
    [0.1596, 0.0001]
    """
    root = np.sqrt(np.asarray(effective, np.float64))
    return np.asarray(kolmogorov((root + 0.12 + 0.11 / root) * np.asarray(d, np.float64)))


def exact_p(d: float, n: int, m: int) -> float:
    """P(D ≥ d): lattice paths from (0, 0) to (n, m) that ever are d away from the diagonal, by where they first are.

    Only positive terms, so tiny p keep their digits. O(n m).

    >>> round(exact_p(0.4, 50, 50), 9)
    0.000582257
    """
    if n > m:
        n, m = m, n
    # |i/n − j/m| ≥ d leaves the band; whole-numbered, a hair below d so that rounding takes nothing away
    limit = int(np.ceil(d * n * m - 1e-6)) - 1
    if limit < 0:
        return 1.0
    rows = np.arange(n + 1)
    low = np.maximum(-((limit - rows * m) // n), 0)
    high = np.minimum((rows * m + limit) // n, m)
    inside = np.zeros(m + 1)  # paths to (i, j) that stayed inside, over C(i + m, m)
    inside[: high[0] + 1] = 1.0
    along, across = np.zeros(n + 1), []  # what leaves by a step in j from each row; by a step in i: row, places, paths
    for i in range(n + 1):
        if i:
            start, stop = low[i], high[i] + 1
            inside[low[i - 1] : start] = 0.0
            # the step in i keeps j: paths shrink by C(i − 1 + m, m) / C(i + m, m)
            inside[start:stop] = np.cumsum(inside[start:stop] * (i / (i + m)))
        along[i] = inside[high[i]]
        if i < n and low[i + 1] > low[i]:
            lost = np.arange(low[i], min(low[i + 1], high[i] + 1))
            across.append((np.full(lost.size, i + 1), lost, inside[lost] * ((i + 1) / (i + 1 + m))))
    over = np.flatnonzero(high < m)
    p = float(np.dot(along[over], _rest(over, high[over] + 1, n, m)))
    if across:
        row, place, paths = (np.concatenate(part) for part in zip(*across, strict=True))
        p += float(np.dot(paths, _rest(row, place, n, m)))
    return min(p, 1.0)


def _rest(i: NDArray[np.integer], j: NDArray[np.integer], n: int, m: int) -> Floats:
    """Share of all paths that one path's worth at (i, j), as scaled in row i, stands for."""
    left, up = n - i, m - j
    return np.asarray(np.exp(_choose(left + up, left) + _choose(i + m, m) - _choose(n + m, m)))


def _choose(n: ArrayLike, k: ArrayLike) -> Floats:
    n, k = np.asarray(n, np.float64), np.asarray(k, np.float64)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def wasserstein(
    reference: Sorted, current: Sorted, *, level: float = 0.95, measured: Distances | None = None, p: float = np.nan
) -> Tested:
    """∫|F − G| in standard deviations of the reference. `p` is that of another test of the same null (KS).

    Sampling alone adds at most √(2/π) ∫√(F(1−F)/n + G(1−G)/m) to the mean, and moves the distance by no more than a
    mean of each sample would; both are taken off below, the second added above. A constant reference: NaN.

    >>> a, b = Sorted.of(np.sin(np.arange(400.0))), Sorted.of(np.sin(np.arange(400.0)) + 0.5)
    >>> found = wasserstein(a, b).effect
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.708, 0.469, 0.847)
    """
    n, m, method = len(reference), len(current), "wasserstein / sd"
    if n == 0 or m == 0 or reference.sd == 0:
        why = "a constant reference" if n and m else "an empty sample"
        return Tested(withheld(np.nan, m, method, why), np.nan, np.nan, NULL)
    measured = distances(reference, current) if measured is None else measured
    bias = np.sqrt(2 / np.pi) * (reference.spread / np.sqrt(n) + current.spread / np.sqrt(m))
    half = z_of(level) * np.sqrt(reference.sd**2 / n + current.sd**2 / m)
    value, sd = measured.wasserstein, reference.sd
    low, high = max(value - bias - half, 0.0) / sd, (value + half) / sd
    return Tested(interval(value / sd, low, high, method, m, DRAWS, level=level), value, p, NULL)


def permuted_wasserstein(
    reference: Sorted, current: Sorted, random: np.random.Generator, *, permutations: int = PERMUTATIONS
) -> float:
    """Exact p of ∫|F − G|: rows are dealt to the two sides at random, and the deal seen is counted among them.

    For small samples; NaN where one is empty.

    >>> a, b = Sorted.of(np.sin(np.arange(60.0))), Sorted.of(np.sin(np.arange(40.0)) + 0.5)
    >>> permuted_wasserstein(a, b, np.random.default_rng(0), permutations=199) < 0.02
    True
    """
    n, m = len(reference), len(current)
    if n == 0 or m == 0:
        return float("nan")
    pooled = np.concatenate((reference.values, current.values))
    order = np.argsort(pooled, kind="stable")
    gaps = np.diff(pooled[order])
    side = np.where(order < n, 1 / n, -1 / m)
    seen = float(np.dot(np.abs(np.cumsum(side)[:-1]), gaps))
    at_once = max(1, DEALT // side.size)
    beyond = 0
    for start in range(0, permutations, at_once):
        dealt = np.tile(side, (min(at_once, permutations - start), 1))
        away = np.abs(np.cumsum(random.permuted(dealt, axis=1), axis=1)[:, :-1])
        beyond += int((away @ gaps >= seen * (1 - 1e-9)).sum())
    return (1 + beyond) / (permutations + 1)


_CRITICAL = np.array([
    [0.675, 1.281, 1.645, 1.96, 2.326, 2.573, 3.085],
    [-0.245, 0.25, 0.678, 1.149, 1.822, 2.364, 3.615],
    [-0.105, -0.305, -0.362, -0.391, -0.396, -0.345, -0.154],
])  # fmt: skip
_LEVELS = np.array([0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001])


def anderson_darling(samples: Sequence[ArrayLike]) -> Tested:
    """k samples, midrank form (Scholz and Stephens 1987): weighs the tails, where KS is blind.

    The statistic is standardised; p is read from their table and kept within [.001, .25], as scipy does. Effect: the
    same statistic (it has no scale of its own), so without interval.

    >>> found = anderson_darling([np.sin(0.7 * np.arange(300)), 0.8 * np.sin(1.1 * np.arange(200)) + 0.1])
    >>> round(found.statistic, 6), found.p
    (10.90024, 0.001)
    """
    ordered = [Sorted.of(sample).values for sample in samples]
    sizes = np.array([len(sample) for sample in ordered])
    if len(ordered) < 2 or sizes.min() == 0:
        raise ValueError("samples: at least two, none empty")
    pooled = np.sort(np.concatenate(ordered))
    total, method = pooled.size, "anderson-darling k-sample"
    distinct = np.unique(pooled)
    if distinct.size < 2 or total < 4:
        why = "fewer than two distinct values or four rows"
        return Tested(withheld(np.nan, total, method, why), np.nan, np.nan, NULL)
    a2 = (_midrank_sum(ordered, pooled, distinct) - (len(sizes) - 1)) / _deviation(sizes, total)
    k = len(sizes) - 1
    critical = _CRITICAL[0] + _CRITICAL[1] / np.sqrt(k) + _CRITICAL[2] / k
    p = float(np.exp(np.polyval(np.polyfit(critical, np.log(_LEVELS), 2), a2)))
    if a2 < critical[0]:
        p = 0.25
    p = 0.001 if a2 > critical[-1] else p
    return Tested(withheld(a2, total, method, "the statistic has no scale of its own"), float(a2), p, NULL)


def _midrank_sum(ordered: Sequence[Floats], pooled: Floats, distinct: Floats) -> float:
    total = pooled.size
    left = np.searchsorted(pooled, distinct, side="left")
    ties = np.searchsorted(pooled, distinct, side="right") - left
    middle = left + ties / 2
    weight = ties / total / (middle * (total - middle) - total * ties / 4)
    found = 0.0
    for sample in ordered:
        upto, below = (np.searchsorted(sample, distinct, side=side) for side in ("right", "left"))
        found += float((weight * (total * (upto + below) / 2 - middle * sample.size) ** 2).sum()) / sample.size
    return found * (total - 1) / total


def _deviation(sizes: NDArray[np.intp], total: int) -> float:
    k, inverse = len(sizes), float((1 / sizes).sum())
    partial = np.cumsum(1 / np.arange(total - 1, 1, -1))
    h, g = float(partial[-1]) + 1, float((partial / np.arange(2, total)).sum())
    a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * inverse
    b = (2 * g - 4) * k**2 + 8 * h * k + (2 * g - 14 * h - 4) * inverse - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * k**2 + (4 * h - 4 * g + 6) * k + (2 * h - 6) * inverse + 4 * h
    d = (2 * h + 6) * k**2 - 4 * h * k
    n = float(total)
    return float(np.sqrt((a * n**3 + b * n**2 + c * n + d) / ((n - 1) * (n - 2) * (n - 3))))
