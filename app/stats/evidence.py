"""What a metric knows of its uncertainty, and the intervals that follow from it.

A metric reads its evidence from a tally; the kind of evidence decides the interval, at a fixed n and at any time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from app.stats.intervals import (
    ASYMPTOTIC_FROM,
    Interval,
    Validity,
    asymptotic,
    beta_mixture,
    proportion,
    t_of,
    z_of,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

IID = "labels are independent draws"
NO_GUARANTEE = "no interval of this metric is guaranteed: its level is reached about"
ASYMPTOTIC = "labels are independent draws; asymptotic: the level is reached as n grows"


@dataclass(frozen=True, slots=True)
class Estimates:
    """A metric at P points. NaN = undefined there, `note` says why.

    `n` rows counted; `n_eff` what the interval rests on (precision: the predicted positives). `bound`: the value from
    all rows is certainly within value ± bound; None where the value is exact. `method`: one per point.
    """

    value: Floats
    low: Floats
    high: Floats
    n: Ints
    n_eff: Floats
    method: tuple[str, ...]
    bound: Floats | None
    level: float
    note: str
    assumption: str = IID
    validity: Validity = "fixed-n"


class Evidence(Protocol):
    """One metric at P points."""

    def fixed(self, level: float, *, guaranteed: bool = False) -> Estimates:
        """`guaranteed`: covers its level whatever the truth; where no interval does, the note says so."""

    def anytime(self, level: float) -> Interval:
        """Of point 0."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """x of n independent yes-or-no outcomes, shown through an increasing `shown`. n = 0 with `rows` > 0 counts as 0."""

    x: Ints
    n: Ints
    rows: Ints
    empty: str = ""  # what n = 0 means
    shown: Callable[[Floats], Floats] = field(default=lambda rate: rate)

    def fixed(self, level: float, *, guaranteed: bool = False) -> Estimates:
        low, high, exact = proportion(self.x, self.n, level, guaranteed=guaranteed)
        none = self.rows == 0
        return Estimates(
            value=self._value(),
            low=_unless(none, self.shown(low)),
            high=_unless(none, self.shown(high)),
            n=self.rows,
            n_eff=self.n.astype(np.float64),
            method=choose(exact, "clopper-pearson", "wilson"),
            bound=None,
            level=level,
            note=notes(unlabelled(self.rows), counted(~none & (self.n == 0), self.empty)),
        )

    def anytime(self, level: float) -> Interval:
        low, high = beta_mixture(self.x[:1], self.n[:1], level)
        if self.rows[0] == 0:
            return no_interval(np.nan, 0, level, "no labelled rows")
        return Interval(
            value=float(self._value()[0]),
            low=float(self.shown(low)[0]),
            high=float(self.shown(high)[0]),
            level=level,
            method="beta-mixture",
            n=int(self.rows[0]),
            n_eff=float(self.n[0]),
            assumption=IID,
            validity="anytime",
        )

    def _value(self) -> Floats:
        return _unless(self.rows == 0, self.shown(self.x / np.maximum(self.n, 1)))


@dataclass(frozen=True, slots=True)
class MeanOfProportions:
    """The mean over classes of independent proportions, x and n [P, k], of the classes `present`.

    A present class with n = 0 counts as 0, as scikit-learn's zero_division=0; nothing is known of it, so its own
    interval is [0, 1].
    """

    x: Ints
    n: Ints
    present: NDArray[np.bool_]
    rows: Ints
    empty: str

    def fixed(self, level: float, *, guaranteed: bool = False) -> Estimates:
        """MOVER: the mean ± √Σ(distance of each class's end)² / k (Zou and Donner 2008)."""
        low, high, exact = proportion(self.x, self.n, level, guaranteed=guaranteed)
        rate, k = self.x / np.maximum(self.n, 1), np.maximum(self.present.sum(axis=1), 1)
        value, none = self._value(), self.rows == 0
        exact_any = np.asarray((exact & self.present).any(axis=1))
        below = np.sqrt(np.where(self.present, (rate - low) ** 2, 0.0).sum(axis=1)) / k
        above = np.sqrt(np.where(self.present, (high - rate) ** 2, 0.0).sum(axis=1)) / k
        return Estimates(
            value=value,
            low=_unless(none, value - below),
            high=_unless(none, value + above),
            n=self.rows,
            n_eff=self.rows.astype(np.float64),
            method=choose(exact_any, "mover of clopper-pearson", "mover of wilson"),
            bound=None,
            level=level,
            note=notes(
                unlabelled(self.rows),
                counted((self.present & (self.n == 0)).any(axis=1), self.empty),
                NO_GUARANTEE if guaranteed else "",
            ),
        )

    def anytime(self, level: float) -> Interval:
        """Bonferroni: every class's sequence at α/k, averaged."""
        if self.rows[0] == 0:
            return no_interval(np.nan, 0, level, "no labelled rows")
        mine = self.present[0]
        low, high = beta_mixture(self.x[0, mine], self.n[0, mine], 1 - (1 - level) / mine.sum())
        return Interval(
            value=float(self._value()[0]),
            low=float(low.mean()),
            high=float(high.mean()),
            level=level,
            method="beta-mixture, bonferroni over classes",
            n=int(self.rows[0]),
            n_eff=float(self.rows[0]),
            assumption=IID,
            validity="anytime",
        )

    def _value(self) -> Floats:
        rates = np.where(self.present, self.x / np.maximum(self.n, 1), 0.0)
        return _unless(self.rows == 0, rates.sum(axis=1) / np.maximum(self.present.sum(axis=1), 1))


@dataclass(frozen=True, slots=True)
class Axis:
    """The scale on which an estimate is about normal: `to` it from the shown value, and `back`."""

    name: str
    to: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]


PLAIN = Axis("", lambda v: v, lambda u: u)
FISHER_Z = Axis("fisher z", np.arctanh, np.tanh)
LOGIT = Axis("logit", logit, expit)
SQUARE = Axis("of squares", np.square, lambda u: np.sqrt(np.maximum(u, 0.0)))
LOG_REST = Axis("log(1 − v)", lambda v: np.log1p(-v), lambda u: -np.expm1(u))


@dataclass(frozen=True, slots=True)
class Smooth:
    """An asymptotically linear estimate with its variance of one row, on `axis`.

    `center`: where the interval is centred, if not at the value (then it is stretched to contain the value).
    """

    value: Floats
    variance: Floats
    rows: Ints
    axis: Axis
    method: str
    limits: tuple[float, float]
    note: str
    center: Floats | None = None
    student: bool = False  # t(n − 1) instead of z
    assumption: str = IID
    bound: Floats | None = None

    def fixed(self, level: float, *, guaranteed: bool = False) -> Estimates:
        critical = t_of(level, self.rows - 1) if self.student else np.full(self.rows.shape, z_of(level))
        low, high = self._ends(critical * np.sqrt(self.variance / np.maximum(self.rows, 1)))
        named = " ".join(filter(None, (self.method, self.axis.name)))
        return Estimates(
            value=self.value,
            low=low,
            high=high,
            n=self.rows,
            n_eff=self.rows.astype(np.float64),
            method=(named,) * self.rows.size,
            bound=self.bound,
            level=level,
            note=notes(self.note, NO_GUARANTEE if guaranteed else ""),
            assumption=self.assumption,
        )

    def anytime(self, level: float) -> Interval:
        """The asymptotic sequence on `axis`, through the influence function's variance; withheld below n = 500."""
        value, n = float(self.value[0]), int(self.rows[0])
        if n < ASYMPTOTIC_FROM:
            reason = f"an asymptotic sequence needs {ASYMPTOTIC_FROM} labelled rows" if n else "no labelled rows"
            return no_interval(value, n, level, reason)
        low, high = self._ends(asymptotic(np.sqrt(self.variance), self.rows, level))
        return Interval(
            value=value,
            low=float(low[0]),
            high=float(high[0]),
            level=level,
            method=" ".join(filter(None, ("asymptotic sequence", self.axis.name))),
            n=n,
            n_eff=float(n),
            assumption=ASYMPTOTIC,
            validity="anytime",
        )

    def _ends(self, half: Floats) -> tuple[Floats, Floats]:
        """Ends about the centre, stretched to the value, widened by the bound; without a variance, the whole range."""
        center = self.value if self.center is None else self.center
        with np.errstate(divide="ignore", invalid="ignore"):
            u = self.axis.to(center)
            one, other = self.axis.back(u - half), self.axis.back(u + half)
        wide = 0.0 if self.bound is None else self.bound
        low = np.fmin(np.minimum(one, other), self.value) - wide
        high = np.fmax(np.maximum(one, other), self.value) + wide
        unknown = ~np.isfinite(half) | ~np.isfinite(u)
        low = np.where(unknown, self.limits[0], np.maximum(low, self.limits[0]))
        high = np.where(unknown, self.limits[1], np.minimum(high, self.limits[1]))
        none = np.isnan(self.value) | np.isinf(low) | np.isinf(high)
        return _unless(none, low), _unless(none, high)


@dataclass(frozen=True, slots=True)
class Given:
    """An interval the metric computed itself; `reason`: why it has none for any time."""

    estimates: Callable[[float], Estimates]
    reason: str

    def fixed(self, level: float, *, guaranteed: bool = False) -> Estimates:
        found = self.estimates(level)
        return replace(found, note=notes(found.note, NO_GUARANTEE)) if guaranteed else found

    def anytime(self, level: float) -> Interval:
        at_n = self.estimates(level)
        return no_interval(float(at_n.value[0]), int(at_n.n[0]), level, self.reason)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Fixed-n by its own method, at any time by the smooth one."""

    estimates: Callable[[float], Estimates]
    smooth: Smooth

    def fixed(self, level: float, *, guaranteed: bool = False) -> Estimates:
        found = self.estimates(level)
        return replace(found, note=notes(found.note, NO_GUARANTEE)) if guaranteed else found

    def anytime(self, level: float) -> Interval:
        return self.smooth.anytime(level)


def no_interval(value: float, n: int, level: float, reason: str) -> Interval:
    """
    >>> no_interval(0.5, 3, 0.95, "too few").assumption
    'too few'
    """
    return Interval(value, np.nan, np.nan, level, "none", n, float(n), reason, "anytime")


def notes(*parts: str) -> str:
    """
    >>> notes("one", "", "two")
    'one; two'
    """
    return "; ".join(filter(None, parts))


def counted(where: NDArray[np.bool_], meaning: str) -> str:
    """'3 points: no predicted positive', or nothing.

    >>> counted(np.array([True, True, False]), "no predicted positive"), counted(np.array([False]), "none")
    ('2 points: no predicted positive', '')
    """
    points = int(where.sum())
    return f"{points} point{'s' if points > 1 else ''}: {meaning}" if points and meaning else ""


def unlabelled(rows: Ints, of: str = "no labelled rows") -> str:
    """
    >>> unlabelled(np.array([0, 5]))
    '1 point: no labelled rows'
    """
    return counted(rows == 0, of)


def choose(first: NDArray[np.bool_], yes: str, no: str) -> tuple[str, ...]:
    """
    >>> choose(np.array([True, False]), "exact", "score")
    ('exact', 'score')
    """
    return tuple(np.array([no, yes], np.object_).take(first).tolist())


def _unless(where: NDArray[np.bool_], values: Floats) -> Floats:
    return np.where(where, np.nan, values)
