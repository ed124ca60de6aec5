"""Experiments looked at a planned number of times: group-sequential bounds, and Wald's sequential ratio test."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from app.stats.intervals import Interval, Validity
from app.stats.tested import interval

Floats = NDArray[np.float64]
Spending = Callable[[Floats], Floats]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)
_WIDEST = 8.0  # z: nothing crosses it


class Shape(StrEnum):
    OBRIEN_FLEMING = "obrien-fleming"  # hardly any error spent early
    POCOCK = "pocock"  # about as much at every look


@dataclass(frozen=True, slots=True)
class Bounds:
    """At information `times` (shares of the planned n): stop where |z| ≥ `z`. `spent`: two-sided error so far."""

    times: Floats
    z: Floats
    spent: Floats
    alpha: float
    method: str
    assumption: str = "looks were planned by information, not by results; z is normal with independent increments"
    validity: str = "at the planned looks"

    def stops(self, look: int, z: float) -> bool:
        """Whether the experiment ends at this look (0 is the first)."""
        return bool(abs(z) >= self.z[look])

    def interval(self, look: int, value: float, error: float, n: int) -> Interval:
        """Repeated confidence interval (Jennison and Turnbull 1989): holds at all planned looks together."""
        half = float(self.z[look]) * error
        return interval(
            value, value - half, value + half, f"repeated, {self.method}", n, self.assumption, level=1 - self.alpha
        )


def spent_obrien_fleming(times: ArrayLike, alpha: float = 0.05) -> Floats:
    """4 − 4 Φ(z_{α/4} / √t), two-sided (Lan and DeMets 1983).

    >>> spent_obrien_fleming([0.5, 1.0]).round(4).tolist()
    [0.0031, 0.05]
    """
    return np.asarray(4 * ndtr(ndtri(alpha / 4) / np.sqrt(np.asarray(times, np.float64))))


def spent_pocock(times: ArrayLike, alpha: float = 0.05) -> Floats:
    """α log(1 + (e − 1) t).

    >>> spent_pocock([0.5, 1.0]).round(4).tolist()
    [0.031, 0.05]
    """
    return np.asarray(alpha * np.log1p((np.e - 1) * np.asarray(times, np.float64)))


def spending_bounds(times: ArrayLike, shape: Shape = Shape.OBRIEN_FLEMING, *, alpha: float = 0.05) -> Bounds:
    """Bounds that spend α by information: a look may be moved without losing the error's control.

    The law of the process on its way is carried from look to look by recursive integration (Armitage, McPherson and
    Rowe 1969).

    >>> spending_bounds([0.2, 0.4, 0.6, 0.8, 1.0]).z.round(3).tolist()
    [4.877, 3.357, 2.68, 2.29, 2.031]
    """
    t = _times(times)
    spend = spent_obrien_fleming if shape is Shape.OBRIEN_FLEMING else spent_pocock
    spent = spend(t, alpha)
    steps = np.diff(spent, prepend=0.0)
    walk, z = _Walk.start(), []
    for time, step in zip(t, steps, strict=True):
        low, high = 0.0, _WIDEST
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if walk.crosses(time, middle) > step else (low, middle)
        z.append(high)
        walk = walk.after(time, high)
    return Bounds(t, np.array(z), spent, alpha, f"lan-demets, {shape}")


def constant_bounds(looks: int, shape: Shape, *, alpha: float = 0.05) -> Bounds:
    """The classic designs, equal steps: z = C at every look (Pocock 1977), or C √(K/k) (O'Brien and Fleming 1979).

    >>> constant_bounds(5, Shape.POCOCK).z.round(3).tolist()
    [2.413, 2.413, 2.413, 2.413, 2.413]
    """
    if looks < 1:
        raise ValueError(f"looks: at least one, not {looks}")
    t = np.arange(1, looks + 1) / looks
    form = np.ones(looks) if shape is Shape.POCOCK else 1 / np.sqrt(t)
    low, high = 0.0, _WIDEST
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if crossing(t, middle * form)[-1] > alpha else (low, middle)
    z = high * form
    return Bounds(t, z, crossing(t, z), alpha, str(shape))


def crossing(times: ArrayLike, z: ArrayLike, *, drift: float = 0.0) -> Floats:
    """P(|z| ≥ bound by each look); `drift`: the mean of the final z (0: the error; else the power).

    >>> round(float(crossing([1.0], [1.959964])[0]), 6), round(float(crossing([1.0], [1.959964], drift=2.8)[0]), 2)
    (0.05, 0.8)
    """
    t, bounds = _times(times), np.asarray(z, np.float64)
    walk, found = _Walk.start(), []
    for time, bound in zip(t, bounds, strict=True):
        found.append(walk.crosses(time, bound, drift))
        walk = walk.after(time, bound, drift)
    return np.cumsum(found)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Brownian motion on its way at `time`: weight (density × quadrature weight) at `place`s not yet stopped."""

    time: float
    place: Floats
    weight: Floats

    @classmethod
    def start(cls) -> "_Walk":
        return cls(0.0, np.zeros(1), np.ones(1))

    def crosses(self, time: float, z: float, drift: float = 0.0) -> float:
        step, bound = np.sqrt(time - self.time), z * np.sqrt(time)
        center = self.place + drift * (time - self.time)
        outside = ndtr((-bound - center) / step) + ndtr((center - bound) / step)
        return float(np.dot(self.weight, outside))

    def after(self, time: float, z: float, drift: float = 0.0) -> "_Walk":
        step, bound = np.sqrt(time - self.time), z * np.sqrt(time)
        # nothing to speak of lies 8 deviations from the drift's line, however wide the bound
        reach, middle = min(bound, _WIDEST * np.sqrt(time) + abs(drift) * time), 0.0
        place = middle + _NODES * reach
        center = self.place + drift * (time - self.time)
        density = np.exp(-(((place[:, np.newaxis] - center) / step) ** 2) / 2) / (step * np.sqrt(2 * np.pi))
        return _Walk(time, place, _WEIGHTS * reach * (density @ self.weight))


def _times(times: ArrayLike) -> Floats:
    t = np.asarray(times, np.float64)
    if t.size == 0 or (np.diff(t, prepend=0.0) <= 0).any() or t[-1] > 1 + 1e-12:
        raise ValueError("times: rising shares of the planned information in (0, 1]")
    return t


class Stop(StrEnum):
    GO_ON = "go on"
    ACCEPT = "accept"  # the null rate
    REJECT = "reject"  # for the alternative


@dataclass(frozen=True, slots=True)
class Ratio:
    """Wald's test after n outcomes: the log likelihood ratio between its two bounds."""

    decision: Stop
    log_ratio: float
    accept_at: float
    reject_at: float
    n: int
    method: str = "sprt"
    assumption: str = "outcomes are independent; the rate is one of the two or beyond"
    validity: Validity = "anytime"


def sprt(x: int, n: int, null: float, alternative: float, *, alpha: float = 0.05, beta: float = 0.2) -> Ratio:
    """Bernoulli rates, simple against simple (Wald 1945): bounds log((1 − β)/α) and log(β/(1 − α)).

    >>> sprt(8, 100, 0.05, 0.1).decision.value, sprt(3, 150, 0.05, 0.1).decision.value
    ('go on', 'accept')
    """
    if not (0 < null < 1 and 0 < alternative < 1 and null != alternative):
        raise ValueError(f"null, alternative: two different rates in (0, 1), not {null} and {alternative}")
    ratio = float(x * np.log(alternative / null) + (n - x) * np.log((1 - alternative) / (1 - null)))
    reject, accept = float(np.log((1 - beta) / alpha)), float(np.log(beta / (1 - alpha)))
    decision = Stop.REJECT if ratio >= reject else Stop.ACCEPT if ratio <= accept else Stop.GO_ON
    return Ratio(decision, ratio, accept, reject, n)
