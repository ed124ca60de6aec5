"""Monitors that may be looked at all day: what each bucket of labelled predictions says, and when to page.

A monitor is a panel of detectors, each with its own threshold (its share of the budget, see `budget`) and its own
evidence, which starts anew at its own alarms only. Their evidence is never averaged: H's martingale lives among its own
p-values, and a mean with a floor's would be stopped by what H may not see (Choe and Ramdas 2024); shares of the budget
keep the sum of false pages whatever their dependence.

    FLOOR       rate of events above a known ceiling q0       each row, given the past, an event with chance ≤ q0
    MEAN_FLOOR  mean of [0, 1] values below a known floor m0  each bucket's mean, given the past, ≥ m0
    COUNT  (H)  rate above all history's, none given          rows exchangeable: no season, no over-dispersion
    RANK   (R)  bucket's statistic above most of history's    buckets exchangeable (within their season's slot)

State is a small frozen value; `update` is a pure function of it and of integers from rollups, with draws keyed by
(monitor, bucket), so any alarm can be computed again, bit for bit on one build of Python and scipy.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf, isnan, log, nan
from typing import Any, Literal, TypeVar

from app.stats import step
from app.stats.bets import ABOVE, NORMAL, STAKES, USUAL_ROWS, Bets
from app.stats.conformal import MOST, Past, rank_p
from app.stats.draws import uniform
from app.stats.edetector import start_weight
from app.stats.intervals import Validity

_T = TypeVar("_T")
Worse = Literal["higher", "lower", "either"]


class Kind(StrEnum):
    FLOOR = "floor"
    MEAN_FLOOR = "mean_floor"
    COUNT = "count"
    RANK = "rank"


# Which draws a detector takes; part of what is recomputed, so never renumbered.
STREAMS = {Kind.COUNT: 0, Kind.RANK: 1}


METHODS = {
    Kind.FLOOR: "SR e-detector, likelihood ratios of a rate",
    Kind.MEAN_FLOOR: "SR e-detector, bets on a bounded mean",
    Kind.COUNT: "SR e-detector, conformal counts (H)",
    Kind.RANK: "SR e-detector, conformal ranks (R)",
}
ASSUMPTIONS = {
    Kind.FLOOR: "while nothing is wrong each row, given the past, is an event with at most the floor's chance",
    Kind.MEAN_FLOOR: "while nothing is wrong each bucket's mean, given the past, is at least the floor",
    Kind.COUNT: "while nothing is wrong rows are exchangeable: no season, no over-dispersion",
    Kind.RANK: "while nothing is wrong buckets are exchangeable within their season's slot",
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Labelled predictions of one bucket: `x` bad events in `n` rows, or a statistic `value` (NaN: undefined)."""

    id: int  # rises over the buckets of a monitor: the start, in microseconds, say
    n: int = 0
    x: int = 0
    value: float = nan
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Detector:
    """`log_threshold`: log A, or log 1/α if `for_ever` (the weighted form: P(any false alarm, ever) ≤ α).

    `worse`: which way a RANK's value is bad. A COUNT's is "higher" or "either"; floors have theirs by nature.
    `least_rows`: a COUNT bets on smaller buckets as on ones of this size, so that a threshold that counts on their
    overshoot holds. `pages` is false for one whose assumption the reference contradicts: its alarms are early warnings.
    """

    kind: Kind
    log_threshold: float
    floor: float = nan
    bets: Bets = NORMAL
    worse: Worse = "higher"
    for_ever: bool = False
    least_rows: int = 0
    pages: bool = True

    def __post_init__(self) -> None:
        if self.kind in {Kind.FLOOR, Kind.MEAN_FLOOR} and not 0 <= self.floor < 1:
            raise ValueError(f"floor: {self.floor} is not a rate below 1")
        if self.kind is Kind.COUNT and self.worse == "lower":
            raise ValueError("worse: a count's x are bad events; count the others to look for fewer")


@dataclass(frozen=True, slots=True)
class Monitor:
    key: int  # see draws.key_of
    detectors: tuple[Detector, ...]
    slots: int = 1


@dataclass(frozen=True, slots=True)
class Trail:
    """Evidence of one detector since its last alarm."""

    log_m: step.Terms
    looks: int = 0
    spent: float = 0.0  # mass of starts used up, weighted form


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered. `counts`: rows and events by slot; `past`: earlier statistics by slot."""

    trails: tuple[Trail, ...]
    counts: tuple[tuple[int, int], ...]
    past: tuple[Past, ...]
    last: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Lists and numbers; `from_json` gives the same bits back."""
        trails = [[[None if m == -inf else m for m in t.log_m], t.looks, t.spent] for t in self.trails]
        return {
            "trails": trails,
            "counts": [list(slot) for slot in self.counts],
            "past": [slot.parts() for slot in self.past],
            "last": self.last,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "State":
        trails = [Trail(tuple(-inf if m is None else m for m in log_m), *rest) for log_m, *rest in body["trails"]]
        counts = tuple((int(n), int(x)) for n, x in body["counts"])
        return cls(tuple(trails), counts, tuple(Past.of(*slot) for slot in body["past"]), body["last"])


@dataclass(frozen=True, slots=True)
class Reading:
    """One detector's look at one bucket. `p`: its conformal p-value; NaN for floors and where it did not look."""

    kind: Kind
    log_e: float
    log_threshold: float
    p: float
    alarm: bool
    pages: bool
    validity: Validity = "anytime"

    @property
    def method(self) -> str:
        return METHODS[self.kind]

    @property
    def assumption(self) -> str:
        return ASSUMPTIONS[self.kind]


def begin(monitor: Monitor, reference: Iterable[Bucket] = ()) -> State:
    """No evidence yet; the reference is the history that COUNT and RANK compare with.

    >>> begin(Monitor(1, (Detector(Kind.COUNT, 8.3),)), [Bucket(0, n=500, x=25, value=0.05)]).counts
    ((500, 25),)
    """
    empty = tuple(Trail(step.started(_grid(detector))) for detector in monitor.detectors)
    state = State(empty, ((0, 0),) * monitor.slots, (Past(),) * monitor.slots)
    for bucket in reference:
        state = _remember(state, _checked(monitor, state, bucket), monitor)
    return state


def update(monitor: Monitor, state: State, bucket: Bucket) -> tuple[State, tuple[Reading, ...]]:
    """The next state, and what each detector says. ValueError for a bucket that is not after the last one.

    An alarm empties its detector's trail; history keeps the bucket either way, so a lasting new level is learned.

    >>> monitor = Monitor(1, (Detector(Kind.COUNT, 8.3),))
    >>> state = begin(monitor, [Bucket(0, n=10_000, x=500)])
    >>> state, readings = update(monitor, state, Bucket(1, n=500, x=50))
    >>> readings[0].p < 1e-4, readings[0].alarm
    (True, False)
    >>> state, readings = update(monitor, state, Bucket(2, n=500, x=50))
    >>> readings[0].alarm
    True
    """
    _checked(monitor, state, bucket)
    looked = [_look(monitor, detector, trail, state, bucket) for detector, trail in _pairs(monitor, state)]
    after = replace(state, trails=tuple([trail for trail, _ in looked]))
    return _remember(after, bucket, monitor), tuple([reading for _, reading in looked])


def replay(
    monitor: Monitor, reference: Iterable[Bucket], buckets: Iterable[Bucket]
) -> tuple[State, tuple[tuple[Reading, ...], ...]]:
    """Everything from the beginning, as a third party checks an alarm.

    >>> monitor = Monitor(1, (Detector(Kind.FLOOR, 5.0, floor=0.05),))
    >>> _, seen = replay(monitor, [], [Bucket(1, 500, 25), Bucket(2, 500, 60)])
    >>> [look[0].alarm for look in seen]
    [False, True]
    """
    state, seen = begin(monitor, reference), []
    for bucket in buckets:
        state, readings = update(monitor, state, bucket)
        seen.append(readings)
    return state, tuple(seen)


def _pairs(monitor: Monitor, state: State) -> Iterable[tuple[Detector, Trail]]:
    return zip(monitor.detectors, state.trails, strict=True)


def _grid(detector: Detector) -> int:
    if detector.kind is Kind.FLOOR:
        return len(ABOVE)
    if detector.kind is Kind.MEAN_FLOOR:
        return len(STAKES)
    return detector.bets.size * (2 if detector.worse == "either" else 1)


def _checked(monitor: Monitor, state: State, bucket: Bucket) -> Bucket:
    if state.last is not None and bucket.id <= state.last:
        raise ValueError(f"bucket: {bucket.id} does not come after {state.last}")
    if not 0 <= bucket.x <= bucket.n or not 0 <= bucket.slot < monitor.slots:
        raise ValueError(f"bucket: {bucket} has more events than rows, or a slot outside 0 … {monitor.slots - 1}")
    return bucket


def _look(monitor: Monitor, detector: Detector, trail: Trail, state: State, bucket: Bucket) -> tuple[Trail, Reading]:
    p, increments = _increments(monitor, detector, state, bucket)
    if increments is None:  # the statistic is undefined here: nothing is learned, nothing is spent
        return trail, _reading(detector, _level(detector, trail), p)
    if detector.for_ever:
        weight = float(start_weight(trail.looks + 1))
        moved = Trail(step.advance(trail.log_m, increments, log(weight)), trail.looks + 1, trail.spent + weight)
    else:
        moved = Trail(step.advance(trail.log_m, increments), trail.looks + 1)
    reading = _reading(detector, _level(detector, moved), p)
    return (replace(moved, log_m=step.started(len(moved.log_m))) if reading.alarm else moved), reading


def _level(detector: Detector, trail: Trail) -> float:
    return step.weighted_value(trail.log_m, trail.spent) if detector.for_ever else step.log_value(trail.log_m)


def _reading(detector: Detector, level: float, p: float) -> Reading:
    alarm = level >= detector.log_threshold
    return Reading(detector.kind, level, detector.log_threshold, p, alarm, alarm and detector.pages)


def _increments(monitor: Monitor, detector: Detector, state: State, bucket: Bucket) -> tuple[float, step.Terms | None]:
    if detector.kind is Kind.FLOOR:
        return nan, step.over_rate(detector.floor, bucket.x, bucket.n)
    if detector.kind is Kind.MEAN_FLOOR:
        return nan, None if isnan(bucket.value) else step.below_mean(detector.floor, bucket.value)
    if detector.kind is Kind.COUNT:
        if bucket.n == 0:
            return nan, None
        v = uniform(monitor.key, bucket.id, STREAMS[Kind.COUNT])
        p = step.count_p_of(*state.counts[bucket.slot], bucket.n, bucket.x, v)
        return p, _bet(detector, p, max(bucket.n, detector.least_rows))
    if isnan(bucket.value):
        return nan, None
    return _rank(monitor, detector, state, bucket)


def _rank(monitor: Monitor, detector: Detector, state: State, bucket: Bucket) -> tuple[float, step.Terms]:
    past = state.past[bucket.slot]
    above, equal = past.rank(bucket.value)
    if detector.worse == "lower":
        above = past.total - above - equal
    v = uniform(monitor.key, bucket.id, STREAMS[Kind.RANK])
    p = float(rank_p(above, equal, past.total, v))
    return p, _bet(detector, p, USUAL_ROWS)


def _bet(detector: Detector, p: float, rows: int) -> step.Terms:
    if detector.worse == "either":
        return step.against(detector.bets, p, rows) + step.against(detector.bets, min(1 - p, MOST), rows)
    return step.against(detector.bets, p, rows)


def _remember(state: State, bucket: Bucket, monitor: Monitor) -> State:
    """History with the bucket in it: only what some detector will ask for."""
    kinds = {detector.kind for detector in monitor.detectors}
    counts, past = state.counts, state.past
    if Kind.COUNT in kinds:
        n, x = counts[bucket.slot]
        counts = _with(counts, bucket.slot, (n + bucket.n, x + bucket.x))
    if Kind.RANK in kinds and not isnan(bucket.value):
        past = _with(past, bucket.slot, past[bucket.slot].joined(bucket.value))
    return State(state.trails, counts, past, bucket.id)


def _with(items: tuple[_T, ...], place: int, item: _T) -> tuple[_T, ...]:
    return (*items[:place], item, *items[place + 1 :])
