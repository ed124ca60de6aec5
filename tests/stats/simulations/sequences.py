"""V7–V9 and V21: intervals and rejections that hold at a stopping time chosen by looking."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtr

from app.stats.betting import log_capital
from app.stats.intervals import ASYMPTOTIC_FROM, asymptotic, beta_mixture, t_interval
from app.stats.multiplicity import benjamini_hochberg, e_bh
from tests.stats.simulations.monitors import peeked_wilson
from tests.stats.simulations.registry import Check, Result, mean_at_most, rate_at_most, register
from tests.stats.simulations.streams import ROWS, errors

Floats = NDArray[np.float64]


def v7(runs: int, rng: Generator) -> Result:
    """Stop when the truth is left out, or at 10⁶ rows."""
    x = errors(rng, np.full((2000, runs), 0.95)).cumsum(axis=0)
    low, high = beta_mixture(x, np.arange(1, 2001)[:, np.newaxis] * ROWS)
    return rate_at_most(float(((low > 0.05) | (high < 0.05)).any(axis=0).mean()), 0.05, runs)


def v7_broken(runs: int, rng: Generator) -> Result:
    return rate_at_most(peeked_wilson(errors(rng, np.full((2000, runs), 0.95))), 0.05, runs)


def bounded(rng: Generator, rows: int) -> dict[str, tuple[Floats, float]]:
    """Values in [0, 1] with their mean; the last ones' spread depends on the sign of the sum so far."""
    signs, total, dependent = rng.random(rows) < 0.5, 0.0, np.empty(rows)
    for t in range(rows):
        width = 0.5 if total > 0 else 0.05
        dependent[t] = 0.5 + (width if signs[t] else -width)
        total += dependent[t] - 0.5
    return {
        "beta(9, 1)": (rng.beta(9, 1, rows), 0.9),
        "rare": ((rng.random(rows) < 0.01) * 1.0, 0.01),
        "two points": (np.where(rng.random(rows) < 0.8, 0.9, 0.4), 0.8),
        "dependent": (dependent, 0.5),
    }


def v8(runs: int, rng: Generator, rows: int = 2000) -> Result:
    missed: dict[str, int] = {}
    for _ in range(runs):
        for name, (values, mean) in bounded(rng, rows).items():
            missed[name] = missed.get(name, 0) + bool((log_capital(values, mean) >= np.log(20)).any())
    detail = ", ".join(f"{name} {count / runs:.4f}" for name, count in missed.items())
    return rate_at_most(max(missed.values()) / runs, 0.05, runs, detail)


def v8_broken(runs: int, rng: Generator, rows: int = 2000) -> Result:
    missed = sum(peeked_t(bounded(rng, rows)["two points"][0][:, np.newaxis], 0.8, 50) for _ in range(runs))
    return rate_at_most(missed / runs, 0.05, runs)


def running(values: Floats) -> tuple[Floats, Floats, Floats]:
    """n, mean and variance so far, [rows, runs]."""
    n = np.arange(1, len(values) + 1)[:, np.newaxis] * 1.0
    mean = values.cumsum(axis=0) / n
    variance = np.maximum((values**2).cumsum(axis=0) / n - mean**2, 0.0) * n / np.maximum(n - 1, 1)
    return n, mean, variance


def peeked_t(values: Floats, mean: float, start: int) -> float:
    n, center, variance = (a[start:] for a in running(values))
    low, high = t_interval(center, variance, n)
    return float(((low > mean) | (high < mean)).any(axis=0).mean())


def rare_losses(rng: Generator, rows: int, runs: int) -> tuple[Floats, float]:
    """Log-loss of a calibrated score that is mostly sure: skewed, one loss in fifty is large."""
    p = np.where(rng.random((rows, runs)) < 0.8, 0.01, 0.1)
    loss = np.where(rng.random((rows, runs)) < p, -np.log(p), -np.log1p(-p))
    entropy = [-(q * np.log(q) + (1 - q) * np.log1p(-q)) for q in (0.01, 0.1)]
    return loss, 0.8 * entropy[0] + 0.2 * entropy[1]


def in_parts(runs: int, size: int = 100) -> list[int]:
    """So that 20,000 rows of 2,000 streams need not be held at once."""
    return [min(size, runs - start) for start in range(0, runs, size)]


def v9(runs: int, rng: Generator) -> Result:
    missed = 0.0
    for part in in_parts(runs):
        loss, mean = rare_losses(rng, 20_000, part)
        n, center, variance = (a[ASYMPTOTIC_FROM - 1 :: 20] for a in running(loss))
        missed += float((np.abs(center - mean) > asymptotic(np.sqrt(variance), n)).any(axis=0).sum())
    return rate_at_most(missed / runs, 0.05, runs)


def v9_broken(runs: int, rng: Generator) -> Result:
    missed = 0.0
    for part in in_parts(runs):
        loss, mean = rare_losses(rng, 20_000, part)
        missed += part * peeked_t(loss[: len(loss) // 2], mean, ASYMPTOTIC_FROM - 1)
    return rate_at_most(missed / runs, 0.05, runs)


def screen(rng: Generator, monitors: int = 1000, bad: int = 50, looks: int = 60) -> tuple[Floats, Floats]:
    """log e of normal mixtures over means, and p-values of z-tests, [looks, monitors]; correlated .5 by one factor."""
    shift = np.zeros(monitors)
    shift[:bad] = 0.6
    common = rng.normal(size=(looks, 1))
    values = np.sqrt(0.5) * common + np.sqrt(0.5) * rng.normal(size=(looks, monitors)) + shift
    n = np.arange(1, looks + 1)[:, np.newaxis]
    sums = values.cumsum(axis=0)
    log_e = sums**2 * 0.2 / (2 * (1 + n * 0.2)) - np.log1p(n * 0.2) / 2
    return log_e, 2 * ndtr(-np.abs(sums) / np.sqrt(n))


def false_share(rejected: NDArray[np.bool_], bad: int = 50) -> float:
    return float(rejected[bad:].sum() / max(rejected.sum(), 1))


def v21(runs: int, rng: Generator) -> Result:
    """Stopped at a random look, and at the look with the most rejections."""
    shares, found = [], []
    for _ in range(runs):
        log_e, _ = screen(rng)
        stopped = rng.integers(10, len(log_e))
        most = int((log_e > np.log(1000 / 0.05)).sum(axis=1).argmax())
        shares.append(max(false_share(e_bh(log_e[stopped])), false_share(e_bh(log_e[most]))))
        found.append(float(e_bh(log_e[stopped])[:50].mean()))
    values = np.array(shares)
    error = float(values.std() / np.sqrt(runs))
    return mean_at_most(float(values.mean()), 0.05, error, f"found {np.mean(found):.2f} of the bad")


def v21_broken(runs: int, rng: Generator) -> Result:
    """Benjamini-Hochberg on the smallest p-value that each monitor ever showed."""
    shares = np.array([false_share(benjamini_hochberg(screen(rng)[1].min(axis=0)) <= 0.05) for _ in range(runs)])
    return mean_at_most(float(shares.mean()), 0.05, float(shares.std() / np.sqrt(runs)))


for entry in (
    Check("V7", "beta-mixture sequence ever wrong in 10⁶ rows", v7, 2000, 100, v7_broken, "Wilson, looked at"),
    Check("V8", "betting sequence ever wrong, four bounded laws", v8, 2000, 100, v8_broken, "t-interval, looked at"),
    Check("V9", "asymptotic sequence of rare losses, from 500 rows", v9, 2000, 100, v9_broken, "t-interval, looked at"),
    Check("V21", "false share of e-BH's rejections, 1,000 monitors", v21, 500, 60, v21_broken, "BH of peeked p-values"),
):
    register(entry)
