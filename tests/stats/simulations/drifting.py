"""V20: drift tests keep their size, and with a million rows what is small stays unreported."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from app.stats.divergence import divergences
from app.stats.domain_classifier import domain_classifier
from app.stats.drift import series
from app.stats.ecdf import Sorted, ks
from app.stats.mmd import mmd
from tests.stats.simulations.registry import Check, Result, most, rate_at_most, register

Floats = NDArray[np.float64]

SIZES = ((100, 100), (500, 500), (500, 10_000), (100_000, 100_000))


def binned(rng: Generator, runs: int, n: int, m: int, bins: int = 10) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    even = np.full(bins, 1 / bins)
    return rng.multinomial(m, even, runs), rng.multinomial(n, even, runs)


def v20(runs: int, rng: Generator) -> Result:
    rates: dict[str, float] = {}
    for n, m in SIZES:
        reference, current = binned(rng, 10 * runs, n, m)
        found = divergences(reference, current)
        rates[f"psi {n}/{m}"] = float((found.psi_p < 0.05).mean())
        rates[f"G {n}/{m}"] = float((found.p < 0.05).mean())
    for n, m in ((100, 100), (500, 2000)):
        pairs = ((Sorted.of(rng.random(n)), Sorted.of(rng.random(m))) for _ in range(runs))
        rates[f"ks {n}/{m}"] = float(np.mean([ks(*pair).p < 0.05 for pair in pairs]))
    few = max(runs // 8, 20)
    slow = {
        "mmd": np.mean(
            [mmd(*rng.normal(size=(2, 100, 4)), rng, features=100, permutations=99).p <= 0.05 for _ in range(few)]
        ),
        "domain classifier": np.mean(
            [domain_classifier(*rng.normal(size=(2, 100, 4)), seed=i, explain=False).auc.p < 0.05 for i in range(few)]
        ),
    }
    small = small_effects(runs, rng)
    detail = ", ".join(f"{name} {rate:.4f}" for name, rate in (rates | slow).items())
    # G on 10 expected rows a bin is a little above its level (.059), as χ² tables allow
    held = all(rate <= most(0.05, few) for rate in slow.values()) and small <= 0.001
    worst = max(rates.values())
    outcome = rate_at_most(worst, 0.06, runs)
    return Result(
        worst, outcome.band, outcome.passed and held, f"{detail}; two keys, 10⁶ rows, small effect {small:.4f}"
    )


def small_effects(runs: int, rng: Generator) -> float:
    """A normal moved by .05 of its sd, half the margin, 10⁶ rows on 32 quantile bins."""
    edges = ndtri(np.arange(1, 32) / 32)
    shares = shifted(edges, 0.05)
    reference, current = rng.multinomial(10**6, np.full(32, 1 / 32), runs), rng.multinomial(10**6, shares, runs)
    return float(series(reference, current, edges).drifted.mean())


def shifted(edges: Floats, by: float) -> Floats:
    return np.diff(ndtr(edges - by), prepend=0.0, append=1.0)


def v20_broken(runs: int, rng: Generator) -> Result:
    """PSI > 0.1 on 100 rows, and p < .05 alone on a million."""
    reference, current = binned(rng, runs, 100, 100)
    folklore = float((divergences(reference, current).psi > 0.1).mean())
    edges = ndtri(np.arange(1, 32) / 32)
    many = rng.multinomial(10**6, np.full(32, 1 / 32), runs), rng.multinomial(10**6, shifted(edges, 0.05), runs)
    alone = float((divergences(*many).p < 0.05).mean())
    return rate_at_most(folklore, 0.06, runs, f"p < .05 alone at 10⁶ rows, small effect: {alone:.3f}")


register(Check("V20", "size of drift tests, worst; small effects at 10⁶ rows", v20, 2000, 160, v20_broken, "PSI > 0.1"))
