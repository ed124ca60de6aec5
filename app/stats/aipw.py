"""The effect of what was not assigned at random, from observed rows: augmented inverse propensity weighting.

Two models are fitted, of the outcome and of who was treated; the estimate is right if either is (Robins, Rotnitzky and
Zhao 1994), and its interval holds with flexible models because no row is judged by a model that has seen it
(Chernozhukov et al., double machine learning, 2018). Fits models: only workers import this.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from app.stats.intervals import z_of
from app.stats.tested import Tested, interval, withheld

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FOLDS = 5
FEWEST = 100  # rows of either arm
TRIM = 0.01  # propensities are kept in [.01, .99]: one row may not speak for more than a hundred
THREADS = 1  # OpenMP's threads wait actively: beside a busy core two are a hundred times slower than one
METHOD = "aipw, cross-fitted"
NULL = "the mean effect is 0"
OBSERVED = "no unmeasured cause of both treatment and outcome; every kind of row may be in either arm; asymptotic"


@dataclass(frozen=True, slots=True)
class Effect:
    """`difference`: mean outcome if all were treated less that if none were.

    `trimmed`: share of rows whose propensity was beyond the trim: there the arms do not overlap, and the effect is a
    guess of the outcome's model. `least`, `most`: the propensities seen. `n_eff`: rows of either arm after weighting.
    """

    difference: Tested
    trimmed: float
    least: float
    most: float
    n_eff: tuple[float, float]
    overlaps: bool


def aipw(
    y: ArrayLike, treated: ArrayLike, features: ArrayLike, *, seed: int, known: ArrayLike | None = None,
    level: float = 0.95,
) -> Effect:  # fmt: skip
    """Outcomes [n], arms [n], features [n, d] from before the treatment; NaN is a value of its own.

    ψ = m₁ − m₀ + A (y − m₁)/e − (1 − A)(y − m₀)/(1 − e), its mean and standard error. `known`: the propensities with
    which a router assigned, instead of a model. Fewer than 100 rows in an arm: withheld.

    >>> random = np.random.default_rng(0)
    >>> x = random.normal(size=(2000, 1))
    >>> arm = random.random(2000) < 1 / (1 + np.exp(-x[:, 0]))
    >>> found = aipw(x[:, 0] + 0.5 * arm + 0.5 * random.normal(size=2000), arm, x, seed=1)
    >>> found.difference.effect.low < 0.5 < found.difference.effect.high, found.overlaps
    (True, True)
    """
    outcome, arm = np.asarray(y, np.float64), np.asarray(treated, np.bool_)
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or not len(rows) == outcome.size == arm.size:
        raise ValueError(f"y, treated, features: {outcome.size}, {arm.size} and {rows.shape}")
    n, fewest = outcome.size, int(min(arm.sum(), (~arm).sum()))
    if fewest < FEWEST:
        nothing = withheld(np.nan, n, METHOD, f"needs {FEWEST} rows of either arm", level=level)
        return Effect(Tested(nothing, np.nan, np.nan, NULL), *(np.nan,) * 3, (np.nan,) * 2, overlaps=False)
    if_treated, if_not, chance = _fitted(outcome, arm, rows, seed)
    raw = chance if known is None else np.broadcast_to(np.asarray(known, np.float64), (n,))
    e = np.clip(raw, TRIM, 1 - TRIM)
    psi = if_treated - if_not
    psi += np.where(arm, (outcome - if_treated) / e, -(outcome - if_not) / (1 - e))
    value, error = float(psi.mean()), float(psi.std(ddof=1) / np.sqrt(n))
    half, z = z_of(level) * error, value / error if error > 0 else np.nan
    sizes = _kish(1 / e[arm]), _kish(1 / (1 - e[~arm]))
    effect = interval(value, value - half, value + half, METHOD, n, OBSERVED, level=level, n_eff=min(sizes))
    beyond = float((raw != e).mean())
    tested = Tested(effect, z, float(2 * ndtr(-abs(z))), NULL)
    return Effect(tested, beyond, float(raw.min()), float(raw.max()), sizes, overlaps=beyond <= TRIM)


def _fitted(y: Floats, arm: Bools, rows: Floats, seed: int) -> tuple[Floats, Floats, Floats]:
    """Out of fold: the outcome if treated, if not, and the chance of being treated."""
    if_treated, if_not, chance = (np.empty(y.size) for _ in range(3))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, arm):
        with threadpool_limits(THREADS):
            for into, mine in ((if_treated, train[arm[train]]), (if_not, train[~arm[train]])):
                model = HistGradientBoostingRegressor(max_iter=100, max_depth=3, learning_rate=0.1, random_state=seed)
                into[test] = model.fit(rows[mine], y[mine]).predict(rows[test])
            who = HistGradientBoostingClassifier(max_iter=50, max_depth=2, min_samples_leaf=50, random_state=seed)
            chance[test] = who.fit(rows[train], arm[train]).predict_proba(rows[test])[:, 1]
    return if_treated, if_not, chance


def _kish(weight: Floats) -> float:
    return float(weight.sum() ** 2 / (weight**2).sum())
