"""V27: rates that wander over 15 to 700 buckets, watched as their reference of 1,000 buckets lets them be."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from app.stats.bets import NORMAL, RANKED
from app.stats.budget import log_threshold
from app.stats.diagnostics import SHOWN, Assumptions, assess, autocorrelation, dispersion
from tests.stats.simulations.monitors import autoregressive
from tests.stats.simulations.registry import Check, Result, rate_at_most, register
from tests.stats.simulations.streams import LOOKS, ROWS, count_ps, errors, rank_ps, run_e_detector

Ints = NDArray[np.int64]

# Over how many buckets the rate forgets where it was, and its standard deviation about .05: the worst ones found, from
# wandering that hardly shows (its variance is 4 % of what 500 rows add) to such as is always seen.
CELLS = ((15, 0.002), (60, 0.002), (60, 0.003), (240, 0.002), (240, 0.003), (700, 0.003), (700, 0.006))
SHORT = 240


def wandering(rng: Generator, over: float, sd: float, reference: int, runs: int) -> Ints:
    away = autoregressive(rng, float(np.exp(-1 / over)), reference + LOOKS, runs)
    return errors(rng, np.clip(0.95 + sd * away, 0.5, 0.999))


def looked_at(x: Ints) -> Assumptions:
    return assess(x / ROWS, np.zeros(len(x), np.int64), x=x, n=np.full(len(x), ROWS))


def as_planned(rng: Generator, x: Ints, reference: int) -> float:
    """How many replications page, each with the detectors, the share and the merging its own reference allows."""
    found = [looked_at(x[:reference, run]) for run in range(x.shape[1])]
    rows = np.array([assumed.rows_hold for assumed in found])
    merge = np.array([assumed.merge * assumed.buckets_hold for assumed in found])
    return paging(rng, x, reference, rows, merge)


def paging(rng: Generator, x: Ints, reference: int, rows: NDArray[np.bool_], merge: Ints) -> float:
    """`rows`: where H pages; `merge`: of how many buckets R takes one, 0 where it may not page."""
    paged = np.zeros(x.shape[1], np.bool_)
    for both in (False, True):
        threshold = log_threshold(LOOKS, 0.05, share=0.5 if both else 1.0)
        mine = np.flatnonzero(rows & ((merge > 0) == both))
        if mine.size:
            p = count_ps(rng, x[reference:, mine], ROWS, reference * ROWS, x[:reference, mine].sum(axis=0))
            paged[mine] |= run_e_detector(p, NORMAL, threshold) >= 0
        for m in np.unique(merge[merge > 0]):
            mine = np.flatnonzero((merge == m) & (rows == both))
            if mine.size:
                larger = x[: len(x) // m * m, mine].reshape(-1, m, mine.size).sum(axis=1)
                paged[mine] |= run_e_detector(rank_ps(rng, larger, reference // m), RANKED, threshold) >= 0
    return float(paged.mean())


def v27(runs: int, rng: Generator) -> Result:
    rates = {
        f"sd {sd} over {over}": as_planned(rng, wandering(rng, over, sd, SHOWN, runs), SHOWN) for over, sd in CELLS
    }
    few = max(runs // 8, 20)
    short = max(as_planned(rng, wandering(rng, over, sd, SHORT, few), SHORT) for over, sd in CELLS)
    still = [looked_at(errors(rng, np.full(SHOWN, 0.95))).buckets_hold for _ in range(few)]
    detail = ", ".join(f"{name}: {rate:.4f}" for name, rate in rates.items())
    detail += f"; of {SHORT} buckets, whose card says they are too few to show it, at most {short:.3f}"
    return rate_at_most(
        max(rates.values()), 0.05, runs, f"{detail}; R pages on {np.mean(still):.2f} of streams that don't wander"
    )


def v27_broken(runs: int, rng: Generator) -> Result:
    """H where single buckets are not over-dispersed, R where neighbours don't agree at lag 1."""
    rates = []
    for over, sd in CELLS:
        x = wandering(rng, over, sd, SHOWN, runs)
        reference = x[:SHOWN].T
        rows = np.array([dispersion(each, np.full(SHOWN, ROWS)).p >= 0.01 for each in reference])
        merge = np.array([int(autocorrelation(each) < 2 / np.sqrt(SHOWN)) for each in reference])
        rates.append(paging(rng, x, SHOWN, rows, merge))
    return rate_at_most(max(rates), 0.05, runs)


register(
    Check(
        "V27",
        "H and R on rates that wander slowly, as 1,000 buckets allow",
        v27,
        1000,
        60,
        v27_broken,
        "single buckets and their neighbours looked at",
    )
)
