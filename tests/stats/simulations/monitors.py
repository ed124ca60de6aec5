"""V1–V6: false pages and delays of the detectors, in the setting of the measured baselines."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from app.stats.bets import NORMAL, RANKED, floor_of, rate_floor
from app.stats.budget import log_threshold
from app.stats.diagnostics import merging
from app.stats.edetector import advance, first_alarms, first_alarms_for_ever, log_value
from app.stats.intervals import wilson
from tests.stats.simulations.registry import Check, Result, mean_at_most, rate_at_most, register
from tests.stats.simulations.streams import (
    LOOKS,
    REFERENCE,
    ROWS,
    accuracies,
    any_alarm,
    changed,
    count_ps,
    delays,
    errors,
    rank_ps,
    run_e_detector,
    three_sigma,
)

Ints = NDArray[np.int64]
THRESHOLD = log_threshold(LOOKS, 0.05)


def iid(runs: int, rng: Generator) -> tuple[Ints, Ints]:
    x = errors(rng, np.full((REFERENCE + LOOKS, runs), 0.95))
    return x[:REFERENCE], x[REFERENCE:]


def floor_first(x: Ints, floors: NDArray[np.float64], threshold: float) -> Ints:
    """Each replication with its own floor."""
    found = np.empty(x.shape[1], np.int64)
    for floor in np.unique(floors):
        mine = floors == floor
        found[mine] = first_alarms(rate_floor(float(floor), x[:, mine], ROWS), threshold)
    return found


def v1(runs: int, rng: Generator) -> Result:
    reference, x = iid(runs, rng)
    total = REFERENCE * ROWS
    ceilings = np.array([floor_of(int(s), total, 0.05) for s in reference.sum(axis=0)])
    counted = count_ps(rng, x, ROWS, total, reference.sum(axis=0))
    ranked = rank_ps(rng, np.concatenate((reference, x)), REFERENCE)
    rates = {
        "floor known": any_alarm(first_alarms(rate_floor(0.05, x, ROWS), THRESHOLD)),
        "floor of the reference": any_alarm(floor_first(x, ceilings, log_threshold(LOOKS, 0.025))),
        "H": any_alarm(run_e_detector(counted, NORMAL, THRESHOLD)),
        "R": any_alarm(run_e_detector(ranked, RANKED, THRESHOLD)),
        "R either way": any_alarm(run_e_detector(ranked, RANKED, THRESHOLD, both=True)),
        "weighted": any_alarm(first_alarms_for_ever(rate_floor(0.05, x, ROWS), 0.05)),
    }
    detail = ", ".join(f"{name} {rate:.4f}" for name, rate in rates.items())
    return rate_at_most(max(rates.values()), 0.05, runs, detail)


def v1_broken(runs: int, rng: Generator) -> Result:
    reference, x = iid(runs, rng)
    sigma = any_alarm(three_sigma(reference, x))
    return rate_at_most(sigma, 0.05, runs, f"cumulative Wilson looked at {peeked_wilson(x):.3f}")


def peeked_wilson(x: Ints) -> float:
    """How often the 95 % interval of everything so far leaves out the true .05 at one look or more."""
    low, high = wilson(x.cumsum(axis=0), np.arange(1, len(x) + 1)[:, np.newaxis] * ROWS)
    return float(((low > 0.05) | (high < 0.05)).any(axis=0).mean())


def v2(runs: int, rng: Generator) -> Result:
    rates = {}
    for sd in (0.005, 0.01, 0.015):
        values = errors(rng, accuracies(rng, 0.95, sd, REFERENCE + LOOKS, runs))
        rates[sd] = any_alarm(run_e_detector(rank_ps(rng, values, REFERENCE), RANKED, THRESHOLD))
    detail = ", ".join(f"sd {sd}: {rate:.4f}" for sd, rate in rates.items())
    return rate_at_most(max(rates.values()), 0.05, runs, detail)


def v2_broken(runs: int, rng: Generator) -> Result:
    x = errors(rng, accuracies(rng, 0.95, 0.01, REFERENCE + LOOKS, runs))
    p = count_ps(rng, x[REFERENCE:], ROWS, REFERENCE * ROWS, x[:REFERENCE].sum(axis=0))
    sigma = any_alarm(three_sigma(x[:REFERENCE], x[REFERENCE:]))
    return rate_at_most(
        any_alarm(run_e_detector(p, NORMAL, THRESHOLD)), 0.05, runs, f"3 sd of the reference {sigma:.3f}"
    )


def seasonal(rng: Generator, amplitude: float, looks: int, runs: int) -> Ints:
    hour = np.arange(looks)[:, np.newaxis]
    return errors(rng, np.broadcast_to(0.95 + amplitude * np.sin(2 * np.pi * hour / 24), (looks, runs)))


def autoregressive(rng: Generator, phi: float, looks: int, runs: int) -> NDArray[np.float64]:
    values = np.empty((looks, runs))
    now = rng.normal(size=runs)
    for t in range(looks):
        now = phi * now + np.sqrt(1 - phi**2) * rng.normal(size=runs)
        values[t] = now
    return values


def merged_alarms(rng: Generator, values: NDArray[np.float64], reference: int) -> float:
    """Every replication merged as its own reference asks; one that can't be certified may not page."""
    sizes = np.array([merging(values[:reference, run]) for run in range(values.shape[1])])
    alarms = 0
    for m in np.unique(sizes[sizes > 0]):
        mine = values[: len(values) // m * m, sizes == m]
        larger = mine.reshape(-1, m, mine.shape[1]).mean(axis=1)
        p = rank_ps(rng, larger, reference // m)
        alarms += int((run_e_detector(p, RANKED, THRESHOLD) >= 0).sum())
    return alarms / values.shape[1]


def v3(runs: int, rng: Generator) -> Result:
    week = 7 * 24
    rates = {}
    for amplitude in (0.005, 0.01, 0.02):
        p = rank_ps(rng, seasonal(rng, amplitude, week + LOOKS, runs), week, season=24)
        rates[f"season {amplitude}"] = any_alarm(run_e_detector(p, RANKED, THRESHOLD))
    for phi in (0.3, 0.7):
        rates[f"AR {phi}"] = merged_alarms(rng, autoregressive(rng, phi, 240 + LOOKS, runs), 240)
    detail = ", ".join(f"{name}: {rate:.4f}" for name, rate in rates.items())
    return rate_at_most(max(rates.values()), 0.05, runs, detail)


def v3_broken(runs: int, rng: Generator) -> Result:
    pooled = rank_ps(rng, seasonal(rng, 0.02, 7 * 24 + LOOKS, runs), 7 * 24)
    unmerged = rank_ps(rng, autoregressive(rng, 0.7, 240 + LOOKS, runs), 240)
    rate = any_alarm(run_e_detector(pooled, RANKED, THRESHOLD))
    as_is = any_alarm(run_e_detector(unmerged, RANKED, THRESHOLD))
    return rate_at_most(as_is, 0.05, runs, f"AR .7 unmerged {as_is:.3f}; season .02 pooled {rate:.3f}")


def v4(runs: int, rng: Generator) -> Result:
    x = errors(rng, np.full((2000, runs), 0.95))
    return rate_at_most(any_alarm(first_alarms_for_ever(rate_floor(0.05, x, ROWS), 0.05)), 0.05, runs)


def v4_broken(runs: int, rng: Generator) -> Result:
    x = errors(rng, np.full((2000, runs), 0.95))
    return rate_at_most(peeked_wilson(x), 0.05, runs)


def alarms_in_a_year(runs: int, rng: Generator, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hourly, stable: a floor at the true rate, and H or R by the law of their p-values; with resets."""
    floors, uniforms = np.full((runs, 16), -np.inf), np.full((runs, NORMAL.size), -np.inf)
    counted, ranked = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
    for _ in range(8760):
        floors = advance(floors, rate_floor(0.05, rng.binomial(ROWS, 0.05, runs), ROWS))
        uniforms = advance(uniforms, NORMAL.log_increments(rng.random(runs)))
        for log_m, alarms in ((floors, counted), (uniforms, ranked)):
            hit = log_value(log_m) >= threshold
            alarms[hit] += 1
            log_m[hit] = -np.inf
    return counted, ranked


def v5(runs: int, rng: Generator) -> Result:
    floor, known = alarms_in_a_year(runs, rng, log_threshold(8760, 1))
    worst = max((floor, known), key=lambda alarms: float(alarms.mean()))
    error = float(worst.std() / np.sqrt(runs))
    return mean_at_most(float(worst.mean()), 1.0, error, f"floor {floor.mean():.3f}, H and R {known.mean():.3f} a year")


def v5_broken(runs: int, rng: Generator) -> Result:
    """Three standard errors per look, the rate known: 1.35 per thousand looks."""
    x = rng.binomial(ROWS, 0.05, (8760, runs))
    alarms = (np.abs(x / ROWS - 0.05) > 3 * np.sqrt(0.0475 / ROWS)).sum(axis=0)
    return mean_at_most(float(alarms.mean()), 1.0, float(alarms.std() / np.sqrt(runs)))


# Measured means of the first study (500-row buckets, the grid of the specification) and 5 %.
H_DELAYS = {0.90: 780, 0.92: 1440, 0.93: 2710, 0.94: 9430}
R_DELAYS = {0.90: 1755, 0.92: 2250, 0.93: 3405, 0.94: 10_300}


def v6(runs: int, rng: Generator) -> Result:
    found, worst = [], 0.0
    for after, limit_of_h in H_DELAYS.items():
        x = changed(rng, after, looks_before=120, looks_after=100, runs=runs)
        h = count_ps(rng, x[REFERENCE:], ROWS, REFERENCE * ROWS, x[:REFERENCE].sum(axis=0))
        r = rank_ps(rng, x, REFERENCE)
        for name, p, limit in (("H", h, limit_of_h), ("R", r, R_DELAYS[after])):
            # what is never found in 50,000 rows counts as 50,000
            late = np.minimum(delays(run_e_detector(p, NORMAL, THRESHOLD), LOOKS // 2, ROWS), 50_000)
            mean, error = float(late.mean()), float(late.std() / np.sqrt(runs))
            worst = max(worst, (mean - 3 * error * (runs < 1000)) / limit)
            found.append(f"{name} .95→{after}: {mean:.0f} (≤ {limit})")
    return Result(worst, "≤ 1 of the limits", worst <= 1.0, ", ".join(found))


def v6_broken(runs: int, rng: Generator) -> Result:
    """Three sigma widened to six, so that it seldom pages falsely: it then misses .95 → .93."""
    x = changed(rng, 0.93, looks_before=120, looks_after=100, runs=runs)
    found = three_sigma(x[:REFERENCE], x[REFERENCE:], width=6.0)
    late = np.minimum(delays(found, LOOKS // 2, ROWS), 50_000)
    return Result(float(late.mean()) / H_DELAYS[0.93], "≤ 1 of the limits", late.mean() <= H_DELAYS[0.93])


for entry in (
    Check(
        "V1",
        "P(any false page) in 100,000 stable predictions",
        v1,
        2000,
        300,
        v1_broken,
        "mean ± 3 sd of the reference",
    ),
    Check("V2", "R on over-dispersed stable streams", v2, 2000, 300, v2_broken, "H without its diagnostic"),
    Check("V3", "R with season matching and automatic merging", v3, 2000, 150, v3_broken, "neither"),
    Check(
        "V4", "weighted form over 1,000,000 stable predictions", v4, 1000, 60, v4_broken, "cumulative Wilson, looked at"
    ),
    Check(
        "V5", "false alarms in a year of hourly looks, one promised", v5, 500, 20, v5_broken, "three standard errors"
    ),
    Check("V6", "mean delay over the measured limit", v6, 1000, 60, v6_broken, "mean ± 6 sd of the reference"),
):
    register(entry)
