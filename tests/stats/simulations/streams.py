"""Streams of bucket error counts, [looks, replications], and the p-values of H and R along them."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from app.stats.bets import Bets, scale_of
from app.stats.conformal import count_p, rank_p
from app.stats.edetector import advance, log_value

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROWS, LOOKS, REFERENCE = 500, 200, 20  # 100,000 predictions after a reference of 10,000 labels


def accuracies(rng: Generator, mean: float, sd: float, looks: int, runs: int) -> Floats:
    """Accuracy of each bucket: `mean`, or beta with that sd: a stable stream that iid rows don't describe."""
    if sd == 0:
        return np.full((looks, runs), mean)
    size = mean * (1 - mean) / sd**2 - 1
    return rng.beta(mean * size, (1 - mean) * size, (looks, runs))


def errors(rng: Generator, accuracy: Floats, rows: int = ROWS) -> Ints:
    return rng.binomial(rows, 1 - accuracy)


def changed(
    rng: Generator, after: float, *, looks_before: int, looks_after: int, runs: int, rows: int = ROWS, sd: float = 0.0
) -> Ints:
    """Accuracy .95, then `after`."""
    before = accuracies(rng, 0.95, sd, looks_before, runs)
    return errors(rng, np.concatenate((before, accuracies(rng, after, sd, looks_after, runs))), rows)


def count_ps(rng: Generator, x: Ints, rows: int, reference_n: int, reference_x: Ints) -> Floats:
    """H of every look; history grows with the stream."""
    p = np.empty(x.shape)
    seen = reference_x.astype(np.float64)
    for t in range(len(x)):
        p[t] = count_p(reference_n + t * rows, seen, rows, x[t], rng.random(x.shape[1]))
        seen += x[t]
    return p


def rank_ps(rng: Generator, values: NDArray[np.number], reference: int, season: int = 1) -> Floats:
    """R of every look after the first `reference`, each among the past of its slot."""
    p = np.empty((len(values) - reference, values.shape[1]))
    for t in range(reference, len(values)):
        past = values[t % season : t : season]
        v = rng.random(values.shape[1])
        p[t - reference] = rank_p((past > values[t]).sum(0), (past == values[t]).sum(0), len(past), v)
    return p


def run_e_detector(p: Floats, bets: Bets, log_threshold: float, *, rows: int = ROWS, both: bool = False) -> Ints:
    """First alarm of each replication, −1 for none; look by look, so that long streams fit in memory."""
    scale = scale_of(rows)
    increments = bets.both_sides if both else bets.log_increments
    log_m = np.full((p.shape[1], bets.size * (2 if both else 1)), -np.inf)
    found = np.full(p.shape[1], -1)
    for t in range(len(p)):
        log_m = advance(log_m, increments(p[t], scale))
        found[(found < 0) & (log_value(log_m) >= log_threshold)] = t
    return found


def any_alarm(found: Ints) -> float:
    return float((found >= 0).mean())


def delays(found: Ints, change: int, rows: int) -> Floats:
    """Rows from the change to the first alarm, of replications without an earlier one; a miss counts as +∞."""
    late = found[(found < 0) | (found >= change)]
    return np.where(late < 0, np.inf, (late - change + 1) * rows)


def three_sigma(reference: Ints, x: Ints, width: float = 3.0) -> Ints:
    """The rule of most monitors: outside mean ± 3 sd of the reference's buckets."""
    center, sd = reference.mean(axis=0), reference.std(axis=0, ddof=1)
    outside = np.abs(x - center) > width * sd
    return np.where(outside.any(axis=0), outside.argmax(axis=0), -1)
