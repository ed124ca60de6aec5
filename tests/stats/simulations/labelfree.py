"""V17, V18, V23: few labels, bought labels, late labels, no labels."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import expit

from app.stats.bets import RANKED
from app.stats.budget import log_threshold
from app.stats.cbpe import UNCHANGED, cbpe, count_scores
from app.stats.grading import Grade, grade
from app.stats.ppi import ppi_mean, ppi_rate
from app.stats.recalibration import Recalibration
from app.stats.selective import hajek, plan
from tests.stats.simulations.coverage import worst
from tests.stats.simulations.registry import Check, Result, rate_at_most, register
from tests.stats.simulations.streams import any_alarm, rank_ps, run_e_detector

Floats = NDArray[np.float64]

PPI_CELLS = [(n, q, p) for n in (100, 500, 2000) for q in (0.5, 0.9) for p in (0.8, 0.95, 0.99)]


def judged(rng: Generator, n: int, p: float, q: float) -> tuple[Floats, Floats]:
    """Outcomes at rate p, and a prediction of each that is right about its share q of the way."""
    y = (rng.random(n) < p) * 1.0
    return y, np.clip(q * y + (1 - q) * p + 0.1 * rng.normal(size=n), 0, 1)


def v17(runs: int, rng: Generator) -> Result:
    found = {}
    for n, q, p in PPI_CELLS:
        misses = 0
        for _ in range(runs):
            y, f = judged(rng, n, p, q)
            seen = ppi_rate(y, f, judged(rng, 10 * n, p, q)[1])
            misses += not seen.low <= p <= seen.high
        found[f"n={n} q={q} p={p}"] = misses / runs
    return worst(found, 0.01, runs)


def v17_broken(runs: int, rng: Generator) -> Result:
    """PPI++'s normal interval."""
    found = {}
    for n, q, p in PPI_CELLS[:6]:
        misses = 0
        for _ in range(runs):
            y, f = judged(rng, n, p, q)
            seen = ppi_mean(y, f, judged(rng, 10 * n, p, q)[1])
            misses += not seen.low <= p <= seen.high
        found[f"n={n} q={q} p={p}"] = misses / runs
    return worst(found, 0.01, runs)


def sampled(rng: Generator, budget: float) -> tuple[Floats, Floats, float]:
    """Labels bought by plan from 20,000 rows: outcomes, probabilities, the true rate behind."""
    chance = rng.beta(6, 1, 20_000)
    stratum = np.minimum((chance * 10).astype(int), 9)
    rows = np.bincount(stratum, minlength=10)
    mean = np.bincount(stratum, chance, 10) / np.maximum(rows, 1)
    probability = plan(rows, mean, budget).probability[stratum]
    asked = rng.random(chance.size) < probability
    return (rng.random(chance.size) < chance)[asked] * 1.0, probability[asked], 6 / 7


def arrived(rng: Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats]:
    """5,000 rows of ages up to 60 days: positives' labels take 30 days, negatives' 3; right, come, P(come)."""
    positive = rng.random(5000) < 0.1
    right = np.where(positive, rng.random(5000) < 0.6, rng.random(5000) < 0.98)
    mean = np.where(positive, 30.0, 3.0)
    age = rng.uniform(1, 60, 5000)
    return right, rng.exponential(mean) < age, -np.expm1(-age / mean)


LATE_TRUTH = 0.1 * 0.6 + 0.9 * 0.98


def v18(runs: int, rng: Generator) -> Result:
    found, late = {}, 0
    for budget in (200.0, 1000.0):
        misses = 0
        for _ in range(runs):
            y, probability, truth = sampled(rng, budget)
            seen = hajek(y, probability)
            misses += not seen.low <= truth <= seen.high
        found[f"{budget:g} labels by plan"] = misses / runs
    values = []
    for _ in range(runs):
        right, came, share = arrived(rng)
        seen = hajek(right[came] * 1.0, share[came])
        late += not seen.low <= LATE_TRUTH <= seen.high
        values.append(seen.value)
    found["late labels by class delay"] = late / runs
    outcome = worst(found, 0.01, runs)
    bias = float(np.mean(values)) - LATE_TRUTH
    error = float(np.std(values)) / np.sqrt(runs)
    held = bool(abs(bias) <= 0.002 + 3 * error)
    return Result(outcome.figure, outcome.band, outcome.passed and held, f"{outcome.detail}; bias {bias:.5f}")


def v18_broken(runs: int, rng: Generator) -> Result:
    """What has arrived, taken as it is."""
    misses = 0
    for _ in range(runs):
        right, came, _ = arrived(rng)
        seen = hajek(right[came] * 1.0, np.ones(int(came.sum())))
        misses += not seen.low <= LATE_TRUTH <= seen.high
    return worst({"late labels as they come": misses / runs}, 0.01, runs)


def scored(
    rng: Generator, n: int, *, shift: float = 0.0, slope: float = 1.0, over: float = 1.0
) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores and outcomes; `shift` moves inputs, `slope` changes what they mean, `over` > 1: overconfident scores."""
    x = 1.5 * rng.normal(size=n) + shift
    return expit(over * x), rng.random(n) < expit(slope * x)


METRICS = ("accuracy", "f1", "roc_auc")


def truths(rng: Generator, shift: float, over: float) -> dict[str, float]:
    score, y = scored(rng, 1_000_000, shift=shift, over=over)
    known = Recalibration.of(*histogram(score, y))
    return {name: float(cbpe(known, count_scores(score), name).value[0]) for name in METRICS}


def histogram(score: Floats, y: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return count_scores(score[y]), count_scores(score)


def v23(runs: int, rng: Generator) -> Result:
    """Stable and shifted inputs, honest and overconfident scores: the interval covers. Then the meaning changes: the
    card says what cannot be seen, the grade turns, and R on the gap to the labels fires."""
    found = {}
    for shift, over in ((0.0, 1.0), (1.0, 1.0), (0.5, 2.0)):
        truth = truths(rng, shift, over)
        misses = dict.fromkeys(METRICS, 0)
        for _ in range(runs):
            known = Recalibration.of_rows(*scored(rng, 1000, over=over))
            counts = count_scores(scored(rng, 2000, shift=shift, over=over)[0])
            for name in METRICS:
                seen = cbpe(known, counts, name).at(0)
                misses[name] += not seen.low <= truth[name] <= seen.high
        found |= {f"{name}, shift {shift}, over {over}": count / runs for name, count in misses.items()}
    outcome = worst(found, 0.02, runs)
    fired, says = concept(max(runs // 4, 20), rng)
    detail = f"{outcome.detail}; concept drift: R on the gap fired in {fired:.2f}"
    return Result(outcome.figure, outcome.band, outcome.passed and fired >= 0.9 and says, detail)


def concept(runs: int, rng: Generator) -> tuple[float, bool]:
    known = Recalibration.of_rows(*scored(rng, 5000))
    gaps, looks = np.empty((120, runs)), np.arange(120)
    says = UNCHANGED.endswith("cannot be seen")
    for run in range(runs):
        buckets = [scored(rng, 500, slope=1.0 if t < 70 else 0.3) for t in looks]
        seen = cbpe(known, np.stack([count_scores(score) for score, _ in buckets]))
        real = np.array([((score >= 0.5) == y).mean() for score, y in buckets])
        report = grade(seen.value[70:], seen.seen_low[70:], seen.seen_high[70:], real[70:])
        says = says and report.grade is Grade.BIASED and seen.assumption == UNCHANGED and not seen.may_promote
        gaps[:, run] = seen.value - real
    alarms = run_e_detector(rank_ps(rng, gaps, 60), RANKED, log_threshold(60, 0.05))
    return any_alarm(alarms), says


def v23_broken(runs: int, rng: Generator) -> Result:
    """Without the calibration's variance."""
    truth, misses = truths(rng, 1.0, 1.0)["accuracy"], 0
    for _ in range(runs):
        known = Recalibration.of_rows(*scored(rng, 1000))
        exact = Recalibration(known.chance, known.response, known.group, known.variance * 0, known.share, known.labels)
        seen = cbpe(exact, count_scores(scored(rng, 2000, shift=1.0)[0])).at(0)
        misses += not seen.low <= truth <= seen.high
    return rate_at_most(misses / runs, 0.07, runs)


for check in (
    Check(
        "V17",
        "misses of PPI++ with effective-n Wilson, worst of 18 cells",
        v17,
        2000,
        80,
        v17_broken,
        "PPI++'s normal interval",
    ),
    Check(
        "V18",
        "misses with bought and late labels by probability, worst",
        v18,
        2000,
        150,
        v18_broken,
        "arrived labels as they come",
    ),
    Check(
        "V23",
        "misses of CBPE, worst of 9; concept drift is named and found",
        v23,
        500,
        100,
        v23_broken,
        "no calibration variance",
    ),
):
    register(check)
