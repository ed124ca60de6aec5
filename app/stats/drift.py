"""Whether inputs or scores are distributed as in the reference: drift is what is significant *and* large.

numbers(reference, values)           # raw values against a presorted reference
counted(reference, counts, edges)    # a number known by its histogram; `edges=None`: a category
series(reference, counts, edges)     # the same for many histograms at once, arrays only

With a million rows every difference is significant, with a hundred every figure is large by chance; so both keys must
turn: p below α, and the *lower* limit of the effect above its margin. Input drift says nothing about accuracy.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.stats.binned import Gaps, gaps
from app.stats.divergence import Divergences, divergences, permuted_js, pooled
from app.stats.ecdf import DRAWS, NULL, Sorted, distances, ks_of, permuted_wasserstein, wasserstein
from app.stats.intervals import Interval, Validity
from app.stats.tested import Tested, interval

Floats = NDArray[np.float64]

BINS = 10  # of a reference's quantiles, for PSI and JS of raw values
PERMUTED_UPTO = 5_000  # rows; above, the limit laws are near and dealing is slow
THREADS = 2  # sorting and searching release the interpreter
BLIND = "input drift says nothing about accuracy: a changed meaning of the same inputs is not seen"


@dataclass(frozen=True, slots=True)
class Margins:
    """What is large enough to matter: the lower limit of the effect must exceed it. `alpha` is shared by the keys."""

    wasserstein: float = 0.1  # reference standard deviations
    js: float = 0.1  # distance, the root of nats
    ks: float = 0.05
    alpha: float = 0.05

    def of(self, measure: str) -> float:
        """∞ for a measure that has no margin: it informs, and decides nothing."""
        return {"wasserstein": self.wasserstein, "js": self.js, "ks": self.ks}.get(measure, np.inf)


MARGINS = Margins()


@dataclass(frozen=True, slots=True)
class Drift:
    """Of one feature. `by`: the measures whose two keys both turned."""

    measures: Mapping[str, Tested]
    by: tuple[str, ...]
    n: int
    note: str = BLIND

    @property
    def drifted(self) -> bool:
        return bool(self.by)


@dataclass(frozen=True, slots=True, eq=False)
class NumberReference:
    """A reference sample of a number: sorted once, with the quantile bins on which PSI and JS are counted."""

    sample: Sorted
    edges: Floats
    counts: NDArray[np.int64]
    missing: int

    @classmethod
    def of(cls, values: ArrayLike, *, bins: int = BINS) -> "NumberReference":
        """NaN is a missing value, which has its own bin.

        >>> NumberReference.of([1, 2, 3, 4, np.nan], bins=2).counts.tolist()
        [2, 2]
        """
        values = np.asarray(values, np.float64)
        sample = Sorted.of(values)
        places = np.arange(1, bins) * len(sample) // bins
        edges = np.unique(sample.values[places]) if len(sample) else np.empty(0)
        return cls(sample, edges, _between(sample, edges), values.size - len(sample))


def _between(sample: Sorted, edges: Floats) -> NDArray[np.int64]:
    at = np.searchsorted(sample.values, edges, side="left")
    return np.diff(at, prepend=0, append=len(sample)).astype(np.int64)


def two_keys(found: Tested, margin: float, alpha: float) -> bool:
    """Significant and large; False where either is unknown.

    >>> from app.stats.tested import interval
    >>> two_keys(Tested(interval(0.02, 0.018, 0.022, "", 10**6, ""), 0.0, 1e-9, ""), 0.1, 0.05)
    False
    """
    return bool(found.p < alpha and found.effect.low > margin)


def numbers(
    reference: NumberReference,
    values: ArrayLike,
    *,
    margins: Margins = MARGINS,
    level: float = 0.95,
    random: np.random.Generator | None = None,
) -> Drift:
    """Raw values of one feature. Measures: ks, wasserstein, js, psi.

    With `random`, and at most 5,000 rows on both sides, the p of wasserstein and js are by permutation (about 50 ms at
    5,000); else wasserstein has that of ks, and js that of its limit law.

    >>> reference = NumberReference.of(np.sin(np.arange(5000.0)))
    >>> numbers(reference, np.sin(np.arange(5000.0, 9000.0))).drifted
    False
    >>> numbers(reference, np.sin(np.arange(4000.0)) + 0.5).by
    ('ks', 'wasserstein', 'js')
    """
    values = np.asarray(values, np.float64)
    current = Sorted.of(values)
    between = distances(reference.sample, current)
    n, m = len(reference.sample), len(current)
    measures: dict[str, Tested] = {}
    if n and m:
        measures["ks"] = ks_of(between.ks, n, m, level=level)
        p = measures["ks"].p
        measures["wasserstein"] = wasserstein(reference.sample, current, level=level, measured=between, p=p)
    ref = np.append(reference.counts, reference.missing)
    cur = np.append(_between(current, reference.edges), values.size - m)
    measures |= _of_divergences(*pooled(ref, cur, ordered=True), level)
    if random is not None and n and m and max(n, m) <= PERMUTED_UPTO:
        p = permuted_wasserstein(reference.sample, current, random)
        measures["wasserstein"] = _with_p(measures["wasserstein"], p)
        measures["js"] = _with_p(measures["js"], permuted_js(ref, cur, random))
    return _decided(measures, values.size, margins)


def _with_p(found: Tested, p: float) -> Tested:
    return replace(found, p=p, effect=replace(found.effect, method=f"{found.effect.method}; p by permutation"))


def causes(found: Mapping[str, Drift]) -> tuple[str, ...]:
    """Features by how far the lower limit of an effect is beyond its margin, those that drifted first.

    Where to look after a performance alarm; drift itself is no reason to page.

    >>> causes({"age": counted([500, 500], [490, 510]), "shop": counted([500, 500], [200, 800])})
    ('shop', 'age')
    """
    return tuple(sorted(found, key=lambda name: (not found[name].drifted, -_excess(found[name]), name)))


def _excess(drift: Drift) -> float:
    parts = [drift.measures[name].effect.low / MARGINS.of(name) for name in _DECIDING if name in drift.measures]
    return max((part for part in parts if np.isfinite(part)), default=0.0)


def many_numbers(
    references: Sequence[NumberReference], columns: Sequence[ArrayLike], *, margins: Margins = MARGINS
) -> list[Drift]:
    """Each column against its reference, on two threads.

    >>> reference = NumberReference.of(np.sin(np.arange(500.0)))
    >>> [found.drifted for found in many_numbers([reference] * 2, [np.sin(np.arange(400.0)), np.ones(400)])]
    [False, True]
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return list(
            pool.map(lambda reference, column: numbers(reference, column, margins=margins), references, columns)
        )


def counted(
    reference: ArrayLike,
    counts: ArrayLike,
    edges: ArrayLike | None = None,
    *,
    missing: tuple[int, int] = (0, 0),
    margins: Margins = MARGINS,
    level: float = 0.95,
) -> Drift:
    """One feature from its counts on the reference's bins; `missing`: of the reference, of now. Bins are pooled until
    each expects 5. A category (`edges=None`) has no ks and no wasserstein.

    >>> counted([500, 300, 200], [490, 320, 190]).drifted, counted([500, 300, 200], [200, 300, 500]).by
    (False, ('js',))
    """
    ref, cur = np.asarray(reference, np.int64), np.asarray(counts, np.int64)
    measures: dict[str, Tested] = {}
    n = int(cur.sum())
    if edges is not None and n and ref.sum():
        measures |= _of_gaps(gaps(ref, cur, edges, level=level), n, int(ref.sum()), level)
    with_missing = np.append(ref, missing[0]), np.append(cur, missing[1])
    measures |= _of_divergences(*pooled(*with_missing, ordered=edges is not None), level)
    return _decided(measures, n + missing[1], margins)


@dataclass(frozen=True, slots=True)
class Series:
    """Of P histograms. `drifted` by the two-key rule at each; looked at again and again, feed a statistic to a monitor
    instead (`validity` is fixed-n)."""

    divergences: Divergences
    gaps: Gaps | None
    drifted: NDArray[np.bool_]
    level: float = 0.95
    method: str = "two keys: significant, and the lower limit beyond the margin"
    assumption: str = DRAWS
    validity: Validity = "fixed-n"


def series(
    reference: ArrayLike,
    counts: ArrayLike,
    edges: ArrayLike | None = None,
    *,
    margins: Margins = MARGINS,
    level: float = 0.95,
) -> Series:
    """`counts` [P, bins] against `reference` [bins], or pairwise. Not pooled: p is NaN where rows are too few.

    >>> series([500, 300, 200], [[50, 30, 20], [200, 300, 500]]).drifted.tolist()
    [False, True]
    """
    parts = divergences(reference, counts, level=level)
    alpha = margins.alpha / (1 if edges is None else len(_DECIDING))
    drifted = (parts.p < alpha) & (np.sqrt(parts.js_low) > margins.js)
    apart = None
    if edges is not None:
        apart = gaps(reference, counts, edges, level=level)
        larger = (apart.ks_low > margins.ks) | (apart.wasserstein_low > margins.wasserstein)
        drifted = drifted | ((apart.p < alpha) & larger)
    return Series(parts, apart, np.asarray(drifted), level)


_DECIDING = ("ks", "wasserstein", "js")


def _decided(measures: Mapping[str, Tested], n: int, margins: Margins) -> Drift:
    """Bonferroni over the measures that may decide."""
    deciding = [name for name in _DECIDING if name in measures]
    alpha = margins.alpha / max(len(deciding), 1)
    return Drift(measures, tuple(name for name in deciding if two_keys(measures[name], margins.of(name), alpha)), n)


def _of_divergences(ref: Floats, cur: Floats, level: float) -> dict[str, Tested]:
    found, n = divergences(ref, cur, level=level), int(cur.sum())
    distance = np.sqrt([found.js, found.js_low, found.js_high])
    js = _effect(distance, "jensen-shannon distance, G-test", n, n, level)
    psi = _effect(np.array([found.psi, found.psi_low, found.psi_high]), "psi, χ² null", n, n, level)
    return {
        "js": Tested(js, float(found.g), float(found.p), NULL),
        "psi": Tested(psi, float(found.psi), float(found.psi_p), NULL),
    }


def _of_gaps(found: Gaps, n: int, reference: int, level: float) -> dict[str, Tested]:
    p, gap, area = float(found.p), float(found.ks), float(found.wasserstein)
    effective = n * reference / (n + reference)
    ends = np.array([found.ks, found.ks_low, found.ks_high])
    measures = {"ks": Tested(_effect(ends, "ks at the edges", n, effective, level), gap, p, NULL)}
    if np.isfinite(area):
        ends = np.array([found.wasserstein, found.wasserstein_low, found.wasserstein_high])
        measures["wasserstein"] = Tested(_effect(ends, "wasserstein / sd, binned", n, n, level), area, p, NULL)
    return measures


def _effect(ends: Floats, method: str, n: int, n_eff: float, level: float) -> Interval:
    return interval(ends[0], ends[1], ends[2], method, n, DRAWS, level=level, n_eff=n_eff)
