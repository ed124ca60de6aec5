"""A/B tests with less noise: what the units did before explains part of what they do now (CUPED)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from app.stats.intervals import t_of
from app.stats.tested import Tested, interval, withheld

Floats = NDArray[np.float64]

METHOD = "cuped, HC2"
NULL = "the arms have one mean"
RANDOMISED = "arms were assigned at random; the covariate was measured before"


@dataclass(frozen=True, slots=True)
class Adjusted:
    """`difference`: treatment − control. `ratio`: variance left over the plain difference's (1 − ρ²)."""

    difference: Tested
    theta: float
    ratio: float


def cuped(y: ArrayLike, before: ArrayLike, treated: ArrayLike, *, level: float = 0.95) -> Adjusted:
    """Y − θ (X − mean X), θ = cov/var pooled within arms (Deng et al. 2013).

    HC2's error, which for two arms is √(s₁²/n₁ + s₀²/n₀), and Welch's degrees of freedom. A constant covariate gives
    the plain difference. Fewer than two rows in an arm: none.

    >>> random = np.random.default_rng(0)
    >>> x, arm = random.normal(size=4000), np.arange(4000) % 2 == 1
    >>> found = cuped(x + 0.5 * random.normal(size=4000) + 0.1 * arm, x, arm)
    >>> round(found.ratio, 2), found.difference.effect.low < 0.1 < found.difference.effect.high
    (0.2, True)
    """
    outcome, covariate = np.asarray(y, np.float64), np.asarray(before, np.float64)
    arm = np.asarray(treated, np.bool_)
    if not outcome.shape == covariate.shape == arm.shape:
        raise ValueError(f"y, before, treated: {outcome.size}, {covariate.size} and {arm.size} rows")
    n1, n0 = int(arm.sum()), int((~arm).sum())
    if min(n1, n0) < 2:
        nothing = withheld(np.nan, outcome.size, METHOD, "needs two rows in each arm", level=level)
        return Adjusted(Tested(nothing, np.nan, np.nan, NULL), np.nan, np.nan)
    inside = _within(covariate, arm)
    spread = float((inside**2).sum())
    theta = float((inside * _within(outcome, arm)).sum()) / spread if spread > 0 else 0.0
    adjusted = outcome - theta * (covariate - covariate.mean())
    found = welch(adjusted[arm], adjusted[~arm], level=level)
    plain = outcome[arm].var(ddof=1) / n1 + outcome[~arm].var(ddof=1) / n0
    left = adjusted[arm].var(ddof=1) / n1 + adjusted[~arm].var(ddof=1) / n0
    return Adjusted(found, theta, float(left / plain) if plain > 0 else np.nan)


def welch(treated: ArrayLike, control: ArrayLike, *, level: float = 0.95, method: str = METHOD) -> Tested:
    """Difference of means, unequal variances. NaN for fewer than two rows of either, or no spread at all.

    >>> found = welch([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    >>> found.effect.value, round(found.p, 3)
    (-2.0, 0.221)
    """
    a, b = np.asarray(treated, np.float64), np.asarray(control, np.float64)
    n = a.size + b.size
    if min(a.size, b.size) < 2:
        return Tested(withheld(np.nan, n, method, "needs two rows in each arm", level=level), np.nan, np.nan, NULL)
    first, second = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    value, error = float(a.mean() - b.mean()), float(np.sqrt(first + second))
    if error == 0:
        return Tested(withheld(value, n, method, "no outcome varies", level=level), np.nan, np.nan, NULL)
    df = (first + second) ** 2 / (first**2 / (a.size - 1) + second**2 / (b.size - 1))
    half = float(t_of(level, df)) * error
    effect = interval(value, value - half, value + half, method, n, RANDOMISED, level=level)
    return Tested(effect, value / error, float(2 * stdtr(df, -abs(value / error))), NULL)


def _within(values: Floats, arm: NDArray[np.bool_]) -> Floats:
    """Less the arm's mean."""
    return np.asarray(values - np.where(arm, values[arm].mean(), values[~arm].mean()))
