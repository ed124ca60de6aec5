"""Which runs to end before they are through: successive halving (ASHA) and the median rule.

Both are heuristics: a run that starts slowly and would have won is lost. No result here is evidence of anything.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

ETA = 3  # of the runs that reach a rung, a third goes on (Li et al. 2020)
COMPLETED = 5  # runs, before their median means something
HEURISTIC = "a heuristic: runs keep their order from here on; nothing is claimed with a probability"


@dataclass(frozen=True, slots=True)
class Advice:
    """`threshold`: what the run had to reach. `n`: the runs it was compared with."""

    stop: bool
    value: float
    threshold: float
    n: int
    method: str
    assumption: str = HEURISTIC
    validity: str = "heuristic"


def rungs(least: int, most: int, *, eta: int = ETA) -> tuple[int, ...]:
    """The steps at which runs are compared: `least` · eta^k below `most`.

    >>> rungs(1, 81)
    (1, 3, 9, 27)
    """
    if least < 1 or eta < 2:
        raise ValueError(f"least, eta: a first step of 1 or more and a factor of 2 or more, not {least} and {eta}")
    found = []
    step = least
    while step < most:
        found.append(step)
        step *= eta
    return tuple(found)


def asha(value: float, at_rung: ArrayLike, *, eta: int = ETA, higher_is_better: bool = True) -> Advice:
    """A run that has reached a rung with `value`; `at_rung`: what earlier runs had there.

    Goes on in the top 1/eta of all that have been there, itself among them; what comes later changes nothing. The first
    `eta` − 1 go on. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020 (arXiv 1810.05934).

    >>> asha(0.7, [0.6, 0.8, 0.75, 0.5, 0.9]).stop, asha(0.85, [0.6, 0.8, 0.75, 0.5, 0.9]).stop
    (True, False)
    """
    earlier = _known(at_rung)
    sign = 1.0 if higher_is_better else -1.0
    every = np.sort(sign * np.append(earlier, value))[::-1]
    kept = every.size // eta
    threshold = float(every[kept - 1]) if kept else -np.inf
    # a run without a value there has failed
    stop = bool(np.isnan(value) or sign * value < threshold)
    return Advice(stop, value, sign * threshold, earlier.size, f"asha, eta {eta}")


def median_rule(
    best: float, averages: ArrayLike, *, higher_is_better: bool = True, completed: int = COMPLETED
) -> Advice:
    """A run whose best value so far is `best`; `averages`: of each completed run, its mean up to the same step. Stops
    below their median, once `completed` runs there are (Golovin et al., "Google Vizier", KDD 2017).

    >>> median_rule(0.6, [0.7, 0.72, 0.65, 0.8, 0.75]).stop, median_rule(0.6, [0.7, 0.72]).stop
    (True, False)
    """
    others = _known(averages)
    sign = 1.0 if higher_is_better else -1.0
    threshold = float(np.median(sign * others)) if others.size >= max(completed, 1) else -np.inf
    stop = bool(np.isnan(best) or sign * best < threshold) and np.isfinite(threshold)
    return Advice(bool(stop), best, sign * threshold, others.size, "median rule")


def _known(values: ArrayLike) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    found = np.asarray(values, np.float64).ravel()
    return found[~np.isnan(found)]
