"""V10 and V11: canaries that are no worse are not rolled back, ones at the margin not promoted, bad ones found soon."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from app.stats.betting import mean_excess
from app.stats.canary import WORSE, Canary
from app.stats.oddsratio import log_likelihoods
from tests.stats.simulations.registry import Check, Result, most, rate_at_most, register

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Buckets = tuple[Ints, Ints, Ints, Ints]  # x_a, n_a, x_b, n_b, each [looks, runs]

LOOKS, ROWS = 60, 500
ASKED = Canary(rollback_alpha=0.05)


def evidence(buckets: Buckets, null: float, grid: NDArray[np.float64]) -> Floats:
    """log e after each look: the mixture over odds ratios `grid` against `null`; [looks, runs]."""
    ratios = np.log(np.concatenate(([null], grid)))
    total = np.zeros((buckets[0].shape[1], len(grid)))
    found = np.empty(buckets[0].shape)
    for t in range(len(found)):
        likelihood = log_likelihoods(*(part[t] for part in buckets), ratios)
        total += likelihood[:, 1:] - likelihood[:, :1]
        found[t] = np.logaddexp.reduce(total, axis=1) - np.log(len(grid))
    return found


def worse(buckets: Buckets) -> Floats:
    return evidence(buckets, 1.0, np.array(WORSE))


def fine(buckets: Buckets, margin: float = 1.5) -> Floats:
    return evidence(buckets, margin, margin / np.array(WORSE))


def traffic(rng: Generator, rate: Floats, odds: float, share: Floats) -> Buckets:
    """Bad events at `rate` in the stable arm, at odds `odds` times as high in the canary; both [looks, runs]."""
    n_b = rng.binomial(ROWS, share)
    high = rate / (1 - rate) * odds
    n_a = ROWS - n_b
    return rng.binomial(n_a, rate), n_a, rng.binomial(n_b, high / (1 + high)), n_b


def nulls(rng: Generator, runs: int, odds: float = 1.0) -> dict[str, Buckets]:
    shape = (LOOKS, runs)
    hour = np.arange(LOOKS)[:, np.newaxis]
    wobble = np.broadcast_to(0.05 * (1 + 0.6 * np.sin(2 * np.pi * hour / 24)), shape)
    flat = np.full(shape, 0.05)
    return {
        "10 %": traffic(rng, flat, odds, np.full(shape, 0.1)),
        "50 %": traffic(rng, flat, odds, np.full(shape, 0.5)),
        "1 % events, 5 %": traffic(rng, np.full(shape, 0.01), odds, np.full(shape, 0.05)),
        "wobbling": traffic(rng, wobble, odds, np.full(shape, 0.1)),
        "random splits": traffic(rng, flat, odds, rng.uniform(0.01, 0.5, shape)),
    }


def sharp(rng: Generator, runs: int) -> Buckets:
    """No effect on any request, errors in long bursts; only the routing is random."""
    burst = np.repeat(rng.random((LOOKS * 5, runs)) < 0.08, ROWS // 5, axis=0)
    bad = (burst & (rng.random(burst.shape) < 0.7)).reshape(LOOKS, ROWS, runs)
    new = rng.random(bad.shape) < 0.1
    n_b = new.sum(axis=1)
    return (bad & ~new).sum(axis=1), ROWS - n_b, (bad & new).sum(axis=1), n_b


def reached(log_e: Floats, alpha: float) -> float:
    return float((log_e.max(axis=0) >= -np.log(alpha)).mean())


def v10(runs: int, rng: Generator) -> Result:
    rollback = {name: worse(buckets) for name, buckets in nulls(rng, runs).items()}
    rollback["bursts"] = worse(sharp(rng, min(runs, 400)))
    promote = {name: fine(buckets) for name, buckets in nulls(rng, runs, ASKED.margin).items()}
    worst = max(reached(log_e, 0.05) for log_e in (*rollback.values(), *promote.values()))
    strict = max(reached(log_e, 0.01) for log_e in (*rollback.values(), *promote.values()))
    detail = ", ".join(f"{name} {reached(log_e, 0.05):.4f}" for name, log_e in rollback.items())
    passed = rate_at_most(worst, 0.05, runs)
    at_margin = max(reached(log_e, 0.05) for log_e in promote.values())
    return Result(
        worst,
        f"{passed.band}; at .01 ≤ {most(0.01, runs):.4f}",
        passed.passed and strict <= most(0.01, runs),
        f"false rollback: {detail}; false promotion ≤ {at_margin:.4f}; at .01 ≤ {strict:.4f}",
    )


def v10_broken(runs: int, rng: Generator) -> Result:
    """A z-test of the two rates so far, at every look."""
    x_a, n_a, x_b, n_b = (part.cumsum(axis=0) for part in nulls(rng, runs)["50 %"])
    pooled = (x_a + x_b) / (n_a + n_b)
    z = (x_b / n_b - x_a / n_a) / np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / n_a + 1 / n_b))
    return rate_at_most(float((np.abs(z) > 1.96).any(axis=0).mean()), 0.05, runs)


def median_looks(log_e: Floats, alpha: float) -> float:
    hit = log_e >= -np.log(alpha)
    return float(np.median(np.where(hit.any(axis=0), hit.argmax(axis=0) + 1, np.inf)))


def v11(runs: int, rng: Generator) -> Result:
    """5 % → 10 % bad; the promotion of an equal canary beside it."""
    shape, odds = (LOOKS, runs), (0.1 / 0.9) / (0.05 / 0.95)
    looks = {
        share: median_looks(worse(traffic(rng, np.full(shape, 0.05), odds, np.full(shape, share))), 0.05)
        for share in (0.1, 0.5)
    }
    equal = median_looks(fine(traffic(rng, np.full(shape, 0.05), 1.0, np.full(shape, 0.5))), 0.05)
    detail = f"median looks at 10 % {looks[0.1]:.0f}, at 50 % {looks[0.5]:.0f}; an equal one promoted after {equal:.0f}"
    return Result(looks[0.1], "≤ 5, at 50 % ≤ 2", looks[0.1] <= 5 and looks[0.5] <= 2, detail)


def v11_broken(runs: int, rng: Generator) -> Result:
    """Betting on differences of bucket rates, which knows only that they are between −1 and 1."""
    shape, odds = (LOOKS, runs), (0.1 / 0.9) / (0.05 / 0.95)
    x_a, n_a, x_b, n_b = traffic(rng, np.full(shape, 0.05), odds, np.full(shape, 0.1))
    looks = median_looks(mean_excess((x_b / np.maximum(n_b, 1) - x_a / n_a).T).T, 0.05)
    return Result(looks, "≤ 5", looks <= 5)


for entry in (
    Check(
        "V10", "false rollback or promotion under continuous look", v10, 2000, 150, v10_broken, "z-test at every look"
    ),
    Check(
        "V11",
        "looks until a canary of 10 % instead of 5 % errors is rolled back",
        v11,
        1000,
        150,
        v11_broken,
        "betting",
    ),
):
    register(entry)
