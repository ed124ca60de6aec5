"""V19: tests of two or more models keep their size when there is no difference. Figure: the worst rejection rate."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import stdtr

from app.stats.comparison import (
    auc_bootstrap,
    bca,
    delong_pair,
    five_by_two_f,
    friedman,
    mcnemar_mid_p,
    nadeau_bengio,
    paired_accuracy,
    ratio_of,
    wilcoxon,
)
from tests.stats.simulations.registry import Check, Result, most, rate_at_most, register

Floats = NDArray[np.float64]

FOLDS, TEST_SHARE = 100, 1 / 9  # 10 × 10 folds, whose differences correlate by 1/10


def folds(rng: Generator, runs: int) -> Floats:
    shared = rng.normal(size=(runs, 1))
    return np.sqrt(0.1) * shared + np.sqrt(0.9) * rng.normal(size=(runs, FOLDS))


def of_items(runs: int, rng: Generator) -> dict[str, float]:
    """Same items: 200 with a tenth discordant each way; areas of 50 and 150 rows of correlated scores."""
    discordant = rng.multinomial(200, [0.1, 0.1, 0.8], runs)
    mid = np.mean([mcnemar_mid_p(int(b), int(c)) < 0.05 for b, c, _ in discordant])
    counts = [paired_accuracy(int(b), int(c), 200, rng, resamples=500) for b, c, _ in discordant]
    actual, area = np.arange(200) < 50, 0
    for _ in range(runs):
        area += delong_pair(actual, *alike(actual, rng)).p < 0.05
    return {
        "mid-p": float(mid),
        "multinomial bootstrap": float(np.mean([not one.low <= 0 <= one.high for one in counts])),
        "delong pair": area / runs,
    }


def alike(actual: NDArray[np.bool_], rng: Generator) -> Floats:
    """Two scores of the same rows that rank equally well."""
    return 1.0 * actual + rng.normal(size=actual.size) + rng.normal(size=(2, actual.size))


def area_bootstrap(runs: int) -> float:
    actual, rejected = np.arange(200) < 50, 0
    for i in range(runs):
        found = auc_bootstrap(actual, alike(actual, np.random.default_rng(i)), seed=i, resamples=400)[2]
        rejected += found.low > 0 or found.high < 0
    return rejected / runs


def of_folds(runs: int, rng: Generator) -> dict[str, float]:
    return {
        "nadeau-bengio": float(np.mean([nadeau_bengio(d, TEST_SHARE).p < 0.05 for d in folds(rng, runs)])),
        "5x2 F": float(np.mean([five_by_two_f(d).p < 0.05 for d in rng.normal(size=(runs, 5, 2))])),
    }


def of_data_sets(runs: int, rng: Generator) -> dict[str, float]:
    tied = np.rint(3 * rng.normal(size=(runs, 15)))
    return {
        "wilcoxon": float(np.mean([wilcoxon(d).p < 0.05 for d in rng.normal(size=(runs, 12))])),
        "wilcoxon with ties and zeros": float(np.mean([wilcoxon(d).p < 0.05 for d in tied])),
        "iman-davenport": float(np.mean([friedman(x).f_p < 0.05 for x in rng.normal(size=(runs, 12, 4))])),
    }


def bca_difference(runs: int, rng: Generator) -> float:
    """A mean of 300 rows that come in clusters of 3 and are alike there."""
    misses = 0
    for i in range(runs):
        group = np.repeat(np.arange(100), 3)
        lift = np.repeat(rng.normal(size=100), 3)
        value = lift + rng.normal(size=300)
        ratio = ratio_of(value, np.ones(300))
        found = bca(ratio, 300, np.random.default_rng(i), clusters=group, resamples=600)
        misses += not found.low <= 0 <= found.high
    return misses / runs


def v19(runs: int, rng: Generator) -> Result:
    rates = of_items(runs, rng) | of_folds(runs, rng) | of_data_sets(runs, rng)
    rates["bca over clusters"] = bca_difference(runs, rng)
    areas = area_bootstrap(runs // 2)
    detail = ", ".join(f"{key} {rate:.4f}" for key, rate in (rates | {"auc bootstrap": areas}).items())
    outcome = rate_at_most(max(rates.values()), 0.055, runs)
    return Result(outcome.figure, outcome.band, outcome.passed and areas <= most(0.055, runs // 2), detail)


def v19_broken(runs: int, rng: Generator) -> Result:
    """The t-test on raw folds."""
    d = folds(rng, runs)
    t = d.mean(axis=1) / (d.std(axis=1, ddof=1) / np.sqrt(FOLDS))
    return rate_at_most(float((2 * stdtr(FOLDS - 1, -np.abs(t)) < 0.05).mean()), 0.055, runs)


register(Check("V19", "rejections of true nulls, worst test", v19, 2000, 240, v19_broken, "naive t on folds"))
