"""Many monitors looked at together: which of them may be named, with at most a share of false names on average.

A page of its own needs M/α of evidence; in a list of M segments each needs less, the more there are. By e-BH, under any
dependence and whenever one looks. It asks for e-processes: detectors in their weighted form that never start anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log

import numpy as np

from app.stats import step
from app.stats.boundaries import capped_p
from app.stats.multiplicity import e_bh
from app.stats.sequential import Detector, Monitor, State


@dataclass(frozen=True, slots=True)
class Screen:
    """`named`: those rejected, most evidence first. `log_e` of each; `needed`: the least log e that was enough."""

    named: tuple[str, ...]
    log_e: Mapping[str, float]
    needed: float
    level: float
    n: int
    method: str = "e-BH of weighted e-detectors"
    assumption: str = "each detector's own, given the past of all; any dependence between monitors otherwise"
    validity: str = "anytime"

    def p(self, name: str) -> float:
        """Of one monitor by itself, at any time."""
        return capped_p(self.log_e[name])


def screened(detector: Detector) -> Detector:
    """The detector as a screen needs it: weighted, and never starting anew.

    >>> from app.stats.sequential import Kind
    >>> screened(Detector(Kind.FLOOR, 3.0, floor=0.05)).for_ever
    True
    """
    return replace(detector, for_ever=True, log_threshold=inf)


def evidence(monitor: Monitor, state: State) -> float:
    """log of the mean of the detectors' e-values: an e-value where they rest on one past, so floors, or R alone.

    >>> from app.stats.sequential import Kind, begin
    >>> monitor = Monitor(1, (screened(Detector(Kind.FLOOR, 3.0, floor=0.05)),))
    >>> evidence(monitor, begin(monitor))
    0.0
    """
    if not all(detector.for_ever and detector.log_threshold == inf for detector in monitor.detectors):
        raise ValueError("monitor: a screen needs `screened` detectors; others start anew and are no e-process")
    values = [step.weighted_value(trail.log_m, trail.spent) for trail in state.trails]
    return float(np.logaddexp.reduce(values) - log(len(values)))


def screen(watched: Mapping[str, tuple[Monitor, State]], *, alpha: float = 0.05) -> Screen:
    """Expected share of false names ≤ `alpha` at any moment (Wang and Ramdas 2022). Nothing watched: nothing named.

    >>> from app.stats.sequential import Bucket, Kind, begin, update
    >>> monitor = Monitor(1, (screened(Detector(Kind.FLOOR, inf, floor=0.05)),))
    >>> good, bad = (update(monitor, begin(monitor), Bucket(1, 500, x))[0] for x in (25, 60))
    >>> screen({"web": (monitor, good), "shop": (monitor, bad)}).named
    ('shop',)
    """
    found = {name: evidence(monitor, state) for name, (monitor, state) in watched.items()}
    rejected = e_bh(list(found.values()), alpha) if found else np.zeros(0, np.bool_)
    named = [name for name, is_named in zip(found, rejected, strict=True) if is_named]
    needed = log(len(found) / (alpha * max(len(named), 1))) if found else inf
    return Screen(_by_evidence(named, found), found, needed, 1 - alpha, len(found))


def _by_evidence(names: Sequence[str], found: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: (-found[name], name)))
