"""Where a series is going: a metric's next values, or traffic's, with prediction intervals. Only workers import this.

Exponential smoothing in state-space form by statsmodels; the season is used where two of it were seen.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from statsmodels.tsa.statespace.exponential_smoothing import ExponentialSmoothing
from statsmodels.tsa.statespace.structural import UnobservedComponents

from app.stats.intervals import z_of

Floats = NDArray[np.float64]

FEWEST = 10  # buckets
ROUNDS = 200  # of the optimiser
NORMAL = "errors are normal and independent; the series goes on as it did"


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of the next `horizon` buckets. Prediction intervals: of the values to come, each at `level`. Empty: too few."""

    value: Floats
    low: Floats
    high: Floats
    level: float
    method: str
    n: int
    assumption: str = NORMAL
    validity: str = "fixed-n"

    def chance_below(self, limit: float) -> Floats:
        """P(value to come < limit) for each bucket: how soon an objective is missed."""
        sd = np.maximum((self.high - self.low) / (2 * z_of(self.level)), 1e-300)
        return np.asarray(ndtr((limit - self.value) / sd))


def forecast(
    values: ArrayLike,
    horizon: int,
    *,
    season: int | None = None,
    damped: bool = True,
    low_limit: float = -np.inf,
    high_limit: float = np.inf,
    level: float = 0.95,
) -> Forecast:
    """Additive exponential smoothing, ETS(A, Ad, A) or less (Hyndman et al. 2008), by maximum likelihood.

    NaN is an empty bucket, which the filter passes over. The damped trend flattens, as rates do; `season` in buckets is
    used when two whole ones are there. Limits cut the interval. Fewer than 10 buckets: empty.

    >>> found = forecast(10 + np.tile([0.0, 1.0, 2.0, 1.0], 12), 4, season=4)
    >>> found.value.round(1).tolist()
    [10.0, 11.0, 12.0, 11.0]
    """
    y = np.asarray(values, np.float64)
    known = y[~np.isnan(y)]
    if horizon < 1:
        raise ValueError(f"horizon: at least one bucket, not {horizon}")
    if known.size < FEWEST:
        nothing = np.empty(0)
        return Forecast(nothing, nothing, nothing, level, "none", known.size, f"fewer than {FEWEST} buckets")
    if np.ptp(known) == 0:
        steady = np.full(horizon, known[0])
        return _limited(steady, np.zeros(horizon), low_limit, high_limit, level, "constant", known.size)
    periodic = season is not None and season > 1 and y.size >= 2 * season + 2
    model = ExponentialSmoothing(y, trend=damped, damped_trend=damped, seasonal=season if periodic else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that stops early still forecasts; its width tells
        predicted = model.fit(disp=False, maxiter=ROUNDS).get_forecast(horizon)
    mean, error = np.asarray(predicted.predicted_mean), np.asarray(predicted.se_mean)
    method = f"ETS(A,{'Ad' if damped else 'N'},{'A' if periodic else 'N'})"
    return _limited(mean, error, low_limit, high_limit, level, method, known.size)


@dataclass(frozen=True, slots=True)
class Level:
    """Of a series with gaps, at every bucket: what lies under the noise, with its interval."""

    value: Floats
    low: Floats
    high: Floats
    level: float
    n: int
    method: str = "local level, Kalman smoother"
    assumption: str = NORMAL
    validity: str = "fixed-n"


def smoothed(values: ArrayLike, *, level: float = 0.95) -> Level:
    """The local-level model (Harvey 1989); NaN are buckets without rows, which it fills in. Fewer than 10: all NaN.

    >>> found = smoothed(np.array([1.0, 1.2, 0.9, np.nan, 1.1, 1.0, 0.8, 1.1, 1.0, 1.2, 0.9, 1.0]))
    >>> bool(found.low[3] < 1 < found.high[3])
    True
    """
    y = np.asarray(values, np.float64)
    known = y[~np.isnan(y)]
    if known.size < FEWEST or np.ptp(known) == 0:
        nothing = np.full(y.size, np.nan)
        return Level(nothing, nothing, nothing, level, known.size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        fitted = UnobservedComponents(y, "local level").fit(disp=False)
    value, variance = np.asarray(fitted.smoothed_state)[0], np.asarray(fitted.smoothed_state_cov)[0, 0]
    half = z_of(level) * np.sqrt(variance)
    return Level(value, value - half, value + half, level, known.size)


def _limited(
    value: Floats, sd: Floats, low_limit: float, high_limit: float, level: float, method: str, n: int
) -> Forecast:
    half = z_of(level) * sd
    parts = (np.clip(part, low_limit, high_limit) for part in (value, value - half, value + half))
    mean, low, high = parts
    return Forecast(mean, low, high, level, method, n)
