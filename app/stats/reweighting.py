"""Estimates without labels that look at features: M-CBPE and DLE. Fits models: only workers import this.

M-CBPE weighs the reference by how often its like occurs now, then calibrates (Białek et al. 2024). DLE regresses the
loss on the features (NannyML), corrected by its own out-of-fold error.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import KFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from app.stats.cbpe import LabelFree, cbpe, count_scores
from app.stats.intervals import Interval, z_of
from app.stats.recalibration import Recalibration
from app.stats.tested import interval, withheld

Floats = NDArray[np.float64]

FOLDS = 5
MOST_WEIGHT = 20.0  # times the mean: one row may not speak for many (truncated importance sampling, Ionides 2008)
FEWEST = 200  # labelled rows
THREADS = 1  # OpenMP's threads wait actively: beside a busy core two are a hundred times slower than one
LEAST_SHARE = 0.05  # of the labelled rows must be left in effect


@dataclass(frozen=True, slots=True)
class Reweighted:
    """The estimate, and how many labelled rows are left in effect after weighing: few says, now is unlike then."""

    estimate: LabelFree
    n_eff: float
    overlaps: bool


def density_ratio(reference: ArrayLike, current: ArrayLike, *, seed: int) -> Floats:
    """[n] how much more frequent each reference row's like is now; mean 1, at most 20. Out-of-fold.

    >>> random = np.random.default_rng(0)
    >>> x, y = random.normal(size=(1000, 1)), random.normal(size=(1000, 1)) + 1
    >>> ratio = density_ratio(x, y, seed=0)
    >>> bool(ratio[x[:, 0] > 1].mean() > 1 > ratio[x[:, 0] < -1].mean())
    True
    """
    x, y = (np.asarray(rows, np.float64) for rows in (reference, current))
    rows, now = np.concatenate((x, y)), np.arange(len(x) + len(y)) >= len(x)
    chance = np.empty(len(rows))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, now):
        model = HistGradientBoostingClassifier(max_iter=50, max_depth=3, min_samples_leaf=50, random_state=seed)
        with threadpool_limits(THREADS):
            chance[test] = model.fit(rows[train], now[train]).predict_proba(rows[test])[:, 1]
    odds = chance[~now] / np.maximum(1 - chance[~now], 1e-6)
    ratio = odds / odds.mean()
    ratio = np.minimum(ratio, MOST_WEIGHT)
    return np.asarray(ratio / ratio.mean())


def m_cbpe(
    reference: ArrayLike,
    score: ArrayLike,
    hit: ArrayLike,
    current: ArrayLike,
    current_score: ArrayLike,
    metric: str = "accuracy",
    *,
    seed: int,
    threshold: float = 0.5,
    level: float = 0.95,
) -> Reweighted:
    """Labelled reference rows (features [n, d], score, outcome) and current ones (features [m, d], score).

    Assumes P(outcome | features) unchanged, where CBPE assumes it of P(outcome | score).

    >>> random = np.random.default_rng(0)
    >>> x, y = random.normal(size=(2000, 1)), random.normal(size=(2000, 1)) + 0.5
    >>> score, now = (1 / (1 + np.exp(-part[:, 0])) for part in (x, y))
    >>> found = m_cbpe(x, score, random.random(2000) < score, y, now, seed=0)
    >>> found.estimate.method, found.overlaps
    ('m-cbpe', True)
    """
    weight = density_ratio(reference, current, seed=seed)
    known = Recalibration.of_rows(score, hit, weight)
    found = cbpe(known, count_scores(current_score), metric, threshold=threshold, level=level)
    n_eff = float(weight.sum() ** 2 / (weight**2).sum())
    estimate = LabelFree(
        **{name: getattr(found, name) for name in found.__slots__}
        | {
            "method": "m-cbpe",
            "assumption": "P(outcome | features) is as in the reference; concept drift cannot be seen",
        }
    )
    return Reweighted(estimate, n_eff, n_eff >= LEAST_SHARE * weight.size)


def dle(reference: ArrayLike, loss: ArrayLike, current: ArrayLike, *, seed: int, level: float = 0.95) -> Interval:
    """Expected mean loss now. Labelled reference rows (features [n, d], loss [n]) and current features [m, d].

    The regression's out-of-fold residuals, weighed by the density ratio, are added to its mean prediction: doubly
    robust, so either the regression or the ratio may be wrong.

    >>> random = np.random.default_rng(0)
    >>> x, y = random.normal(size=(2000, 1)), random.normal(size=(2000, 1)) + 1
    >>> found = dle(x, np.abs(x[:, 0]) * random.random(2000), y, seed=0)
    >>> found.low < 0.583 < found.high
    True
    """
    x, y = (np.asarray(rows, np.float64) for rows in (reference, current))
    losses = np.asarray(loss, np.float64)
    n, m, method = len(x), len(y), "dle, doubly robust"
    if n < FEWEST or m == 0:
        return withheld(np.nan, m, method, f"needs {FEWEST} labelled rows and a current one", level=level)
    residual, now = np.empty(n), np.zeros(m)
    for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(x):
        model = HistGradientBoostingRegressor(max_iter=100, max_depth=4, min_samples_leaf=30, random_state=seed)
        with threadpool_limits(THREADS):
            model.fit(x[train], losses[train])
            residual[test] = losses[test] - model.predict(x[test])
            now += model.predict(y) / FOLDS
    weighed = density_ratio(x, y, seed=seed) * residual
    value = float(now.mean() + weighed.mean())
    half = z_of(level) * float(np.sqrt(weighed.var(ddof=1) / n + now.var() / m))
    assumption = "P(loss | features) is as in the reference; concept drift cannot be seen"
    return interval(value, value - half, value + half, method, m, assumption, level=level, n_eff=n)
