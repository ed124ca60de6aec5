"""Can a classifier tell the reference from now? Sees drift in how features go together, and names those that give it
away. Fits models: only workers import this.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from app.stats.delong import delong
from app.stats.intervals import z_of
from app.stats.tested import Tested, interval, withheld

Floats = NDArray[np.float64]

FOLDS = 2  # all rows are judged, each by a model that has not seen it
MOST_ROWS = 10_000  # of each sample
FEWEST = 50  # of each sample
THREADS = 1  # OpenMP's threads wait actively: beside a busy core two are a hundred times slower than one
NULL = "the classifier ranks reference and current rows alike (area ½)"
ASSUMPTION = "rows are independent draws; scores of different folds are put on one scale by their ranks"


@dataclass(frozen=True, slots=True)
class DomainShift:
    """`auc`: its effect is the out-of-fold area (½: alike). `importance` [d]: what shuffling a feature takes off it."""

    auc: Tested
    importance: Floats


def domain_classifier(reference: ArrayLike, current: ArrayLike, *, seed: int, explain: bool = True) -> DomainShift:
    """Samples [n, d] and [m, d]; NaN is a value of its own. p is one-sided: an area below ½ is chance.
    Importances cost as much as the fit again; without `explain` they are NaN.

    >>> random = np.random.default_rng(0)
    >>> found = domain_classifier(random.normal(size=(300, 2)), random.normal(size=(300, 2)) + [1, 0], seed=1)
    >>> found.auc.p < 0.001, int(found.importance.argmax())
    (True, 0)
    """
    x, y = (np.asarray(sample, np.float64) for sample in (reference, current))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"reference, current: [n, d] and [m, d], not {x.shape} and {y.shape}")
    random = np.random.default_rng(seed)
    x, y = _thinned(x, random), _thinned(y, random)
    if min(len(x), len(y)) < FEWEST:
        reason = f"needs {FEWEST} rows of either sample"
        nothing = withheld(np.nan, len(y), "domain classifier", reason)
        return DomainShift(Tested(nothing, np.nan, np.nan, NULL), np.full(x.shape[1], np.nan))
    rows, now = np.concatenate((x, y)), np.arange(len(x) + len(y)) >= len(x)
    with threadpool_limits(THREADS):
        score, importance = _out_of_fold(rows, now, seed, explain=explain)
    return DomainShift(_judged(now, score), importance)


def _thinned(sample: Floats, random: np.random.Generator) -> Floats:
    if len(sample) <= MOST_ROWS:
        return sample
    return sample[random.choice(len(sample), MOST_ROWS, replace=False)]


def _out_of_fold(rows: Floats, now: NDArray[np.bool_], seed: int, *, explain: bool) -> tuple[Floats, Floats]:
    """Each row's rank among those scored by the same model, and the mean importance."""
    score, importance = np.empty(len(rows)), np.full(rows.shape[1], 0.0 if explain else np.nan)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, now):
        model = HistGradientBoostingClassifier(max_iter=50, max_depth=4, min_samples_leaf=20, random_state=seed)
        model.fit(rows[train], now[train])
        raw = model.predict_proba(rows[test])[:, 1]
        score[test] = np.searchsorted(np.sort(raw), raw) / raw.size
        if not explain:
            continue
        found = permutation_importance(
            model, rows[test], now[test], scoring="roc_auc", n_repeats=1, random_state=seed, max_samples=1.0
        )
        importance += found.importances_mean / FOLDS
    return score, importance


def _judged(now: NDArray[np.bool_], score: Floats) -> Tested:
    """The error is that of one fold: a chance likeness of the folds raises both their areas, so that taken as
    independent they reject .09 of true nulls at .05.
    """
    areas, covariance = delong(now, score[np.newaxis])
    area, error = float(areas[0]), float(np.sqrt(FOLDS * covariance[0, 0]))
    half, n = z_of(0.95) * error, int(now.sum())
    effect = interval(
        area, max(area - half, 0.0), min(area + half, 1.0), "domain classifier, out-of-fold delong", n, ASSUMPTION
    )
    m, k = n, int((~now).sum())
    z = (area - 0.5) / np.sqrt(FOLDS * (m + k + 1) / (12 * m * k))  # the rank sum's own error under the null
    return Tested(effect, z, float(ndtr(-z)), NULL)
