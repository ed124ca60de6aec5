"""B1–B5: delays below the first study's at P(any false page in 100,000 predictions) ≤ .05, baseline of 10,000 labels.

Thresholds are log(K/.05) for K looks, proved by Doob's inequality, less the overshoot that the known law of the
p-values allows (`budget.overshoot`); both are shown. The stream changes after 50,000 predictions.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtr

from app.stats.bets import NORMAL, RANKED, Bets, floor_of, rate_floor
from app.stats.budget import log_threshold, overshoot
from app.stats.edetector import first_alarms
from tests.stats.simulations.registry import Check, Result, most, register
from tests.stats.simulations.streams import (
    any_alarm,
    changed,
    count_ps,
    delays,
    rank_ps,
    run_e_detector,
    three_sigma,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TOTAL, CHANGE, LABELS, AFTER = 100_000, 50_000, 10_000, 30_000


def threshold(rows: int, bets: Bets, share: float = 1.0) -> float:
    return log_threshold(TOTAL / rows, 0.05, share=share) - overshoot(bets, rows)


def stream(rng: Generator, runs: int, rows: int, after: float | None, sd: float = 0.0) -> Ints:
    """Reference, then the stream; `after` None: stable to the end."""
    reference = LABELS // rows
    before = reference + (TOTAL if after is None else CHANGE) // rows
    rest = 0 if after is None else AFTER // rows
    return changed(rng, after or 0.95, looks_before=before, looks_after=rest, runs=runs, rows=rows, sd=sd)


def by_count(rng: Generator, runs: int, rows: int, after: float | None) -> tuple[Ints, Floats]:
    x = stream(rng, runs, rows, after)
    start = LABELS // rows
    return x, count_ps(rng, x[start:], rows, LABELS, x[:start].sum(axis=0))


def mean_delay(found: Ints, rows: int) -> tuple[float, float]:
    """Rows to the alarm, and its standard error; a miss counts as the 30,000 rows simulated."""
    late = np.minimum(delays(found, CHANGE // rows, rows), AFTER)
    return float(late.mean()), float(late.std() / np.sqrt(len(late)))


def judged(pfa: float, runs: int, delayed: dict[str, tuple[float, float, float]], note: str = "") -> Result:
    """`delayed`: mean, standard error, goal. Three standard errors are forgiven below 1,000 replications only."""
    forgiven = 3.0 if runs < 1000 else 0.0
    worst = max((mean - forgiven * error) / goal for mean, error, goal in delayed.values())
    parts = [f"{name} {mean:.0f} ± {error:.0f} (< {goal:.0f})" for name, (mean, error, goal) in delayed.items()]
    return Result(
        worst,
        f"delays ≤ 1 of the goals, PFA ≤ {most(0.05, runs):.4f}",
        worst < 1 and pfa <= most(0.05, runs),
        f"PFA {pfa:.4f}; " + ", ".join(parts) + note,
    )


def b1(runs: int, rng: Generator) -> Result:
    """H on 100-row buckets."""
    proved, exact = log_threshold(TOTAL / 100, 0.05), threshold(100, NORMAL)
    stable = by_count(rng, runs, 100, None)[1]
    found, notes = {}, []
    for after, goal in ((0.90, 600.0), (0.93, 2300.0)):
        p = by_count(rng, runs, 100, after)[1]
        found[f".95→{after}"] = (*mean_delay(run_e_detector(p, NORMAL, exact, rows=100), 100), goal)
        notes.append(f"{mean_delay(run_e_detector(p, NORMAL, proved, rows=100), 100)[0]:.0f}")
    pfa = any_alarm(run_e_detector(stable, NORMAL, exact, rows=100))
    by_doob = any_alarm(run_e_detector(stable, NORMAL, proved, rows=100))
    return judged(pfa, runs, found, f"; at the proved threshold {' and '.join(notes)}, PFA {by_doob:.4f}")


def b1_broken(runs: int, rng: Generator) -> Result:
    """Three sigma on 100-row buckets is as fast, and pages on every stable stream."""
    stable, start = stream(rng, runs, 100, None), LABELS // 100
    x = stream(rng, runs, 100, 0.90)
    late = mean_delay(three_sigma(x[:start], x[start:]), 100)
    return judged(any_alarm(three_sigma(stable[:start], stable[start:])), runs, {".95→.9": (*late, 600.0)})


def b2(runs: int, rng: Generator) -> Result:
    """Floor of the reference and H side by side, a tenth and nine tenths of the budget.

    A floor learned from 10,000 labels (.0546 for a rate of .05) is never the first to see a change that H misses, here
    or right after deployment: its share only costs. A floor that is *known* (an objective) is another matter.
    """
    x, stable = by_count(rng, runs, 100, None)
    pfa = any_alarm(panel(x, stable))
    found = {}
    for after, goal in ((0.90, 600.0), (0.93, 2300.0)):
        x, p = by_count(rng, runs, 100, after)
        found[f".95→{after}"] = (*mean_delay(panel(x, p), 100), goal)
    return judged(pfa, runs, found)


def panel(x: Ints, p: Floats) -> Ints:
    """First alarm of either. Half of the floor's share is the chance that the reference's bound is wrong."""
    start, share = LABELS // 100, 0.1
    counted = run_e_detector(p, NORMAL, threshold(100, NORMAL, 1 - share), rows=100)
    floored = np.empty(x.shape[1], np.int64)
    events = x[:start].sum(axis=0)
    for s in np.unique(events):
        mine, q0 = events == s, floor_of(int(s), LABELS, 0.05 * share)
        increments = rate_floor(q0, x[start:, mine], 100)
        floored[mine] = first_alarms(increments, log_threshold(TOTAL / 100, 0.05, share=share / 2))
    never = np.iinfo(np.int64).max
    first = np.minimum(np.where(counted < 0, never, counted), np.where(floored < 0, never, floored))
    return np.where(first == never, -1, first)


def b3(runs: int, rng: Generator) -> Result:
    """R where each bucket has its own accuracy, sd .01: in buckets of 500 and of 100; either way; and without that."""
    found, notes, worst = {}, [], 0.0
    for name, rows, sd, both in (
        ("500 rows", 500, 0.01, False),
        ("100 rows", 100, 0.01, False),
        ("100 rows, either way", 100, 0.01, True),
        ("100 rows, sd 0", 100, 0.0, False),
    ):
        level, proved, reference = threshold(rows, RANKED), log_threshold(TOTAL / rows, 0.05), LABELS // rows
        stable, moved, little = (
            rank_ps(rng, stream(rng, runs, rows, after, sd), reference) for after in (None, 0.90, 0.93)
        )
        pfa, by_doob = (any_alarm(run_e_detector(stable, RANKED, at, both=both)) for at in (level, proved))
        late = [mean_delay(run_e_detector(p, RANKED, level, both=both), rows) for p in (moved, little)]
        worst, found[name] = max(worst, pfa), (*late[0], 1500.0)
        slower = mean_delay(run_e_detector(moved, RANKED, proved, both=both), rows)[0]
        notes.append(f"{name} {late[1][0]:.0f} and {pfa:.4f}, proved {slower:.0f} and {by_doob:.4f}")
    return judged(worst, runs, found, "; .95→.93 and PFA, .95→.9 at the proved threshold and PFA: " + ", ".join(notes))


def b3_broken(runs: int, rng: Generator) -> Result:
    """H is faster there, and has no right to be: rows are not exchangeable."""
    rows, reference = 500, LABELS // 500
    found = []
    for after in (None, 0.90):
        x = stream(rng, runs, rows, after, 0.01)
        p = count_ps(rng, x[reference:], rows, LABELS, x[:reference].sum(axis=0))
        found.append(run_e_detector(p, NORMAL, threshold(rows, NORMAL), rows=rows))
    return judged(any_alarm(found[0]), runs, {"500 rows": (*mean_delay(found[1], rows), 1500.0)})


def scored_buckets(rng: Generator, runs: int, looks: int, separation: float, rows: int = 500) -> tuple[Floats, Floats]:
    """AUC and F1 of buckets of `rows` with 20 % positives, scores normal and `separation` apart; [looks, runs]."""
    auc, f1 = np.empty((looks, runs)), np.empty((looks, runs))
    for t in range(looks):
        positive = rng.random((runs, rows)) < 0.2
        score = rng.normal(size=(runs, rows)) + separation * positive
        rank = score.argsort(axis=1).argsort(axis=1)
        m = positive.sum(axis=1)
        auc[t] = ((rank * positive).sum(axis=1) - m * (m - 1) / 2) / np.maximum(m * (rows - m), 1)
        hit = score > separation / 2 + np.log(4) / separation / 2
        f1[t] = 2 * (hit & positive).sum(axis=1) / np.maximum(hit.sum(axis=1) + m, 1)
    return auc, f1


def b4(runs: int, rng: Generator) -> Result:
    """R on AUC and F1 of 500-row buckets: separation 2 falls to 1.4 (AUC .921 → .839)."""
    level, reference = threshold(500, RANKED), LABELS // 500
    stable = scored_buckets(rng, runs, reference + TOTAL // 500, 2.0)
    moved = [
        np.concatenate(parts)
        for parts in zip(
            scored_buckets(rng, runs, reference + CHANGE // 500, 2.0),
            scored_buckets(rng, runs, AFTER // 500, 1.4),
            strict=True,
        )
    ]
    found, worst = {}, 0.0
    for name, still, late in (("AUC", stable[0], moved[0]), ("F1", stable[1], moved[1])):
        worst = max(worst, any_alarm(run_e_detector(rank_ps(rng, -still, reference), RANKED, level)))
        first = run_e_detector(rank_ps(rng, -late, reference), RANKED, level)
        found[name] = (*mean_delay(first, 500), 2500.0)
    return judged(worst, runs, found, f"; AUC {float(ndtr(2 / np.sqrt(2))):.3f} → {float(ndtr(1.4 / np.sqrt(2))):.3f}")


def b4_broken(runs: int, rng: Generator) -> Result:
    auc, _ = scored_buckets(rng, runs, (LABELS + TOTAL) // 500, 2.0)
    reference = LABELS // 500
    center, sd = auc[:reference].mean(axis=0), auc[:reference].std(axis=0, ddof=1)
    pfa = float((np.abs(auc[reference:] - center) > 3 * sd).any(axis=0).mean())
    return judged(pfa, runs, {"AUC": (0.0, 0.0, 2500.0)})


def b5(runs: int, rng: Generator) -> Result:
    """The curve: H's delay .95 → .90 by bucket size."""
    curve, worst = [], 0.0
    for rows in (500, 250, 100, 50, 20):
        level = threshold(rows, NORMAL)
        worst = max(worst, any_alarm(run_e_detector(by_count(rng, runs, rows, None)[1], NORMAL, level, rows=rows)))
        mean = [
            mean_delay(run_e_detector(by_count(rng, runs, rows, after)[1], NORMAL, level, rows=rows), rows)[0]
            for after in (0.90, 0.93)
        ]
        curve.append(f"{rows} rows: {mean[0]:.0f}, {mean[1]:.0f}")
    limit = most(0.05, runs)
    return Result(worst, f"PFA ≤ {limit:.4f}", worst <= limit, "mean delay .95→.90, .95→.93 — " + "; ".join(curve))


for entry in (
    Check("B1", "H in 100-row buckets: delay over the goal", b1, 2000, 100, b1_broken, "mean ± 3 sd of the reference"),
    Check("B2", "floor and H in 100-row buckets: delay over the goal", b2, 2000, 30, b1_broken, "mean ± 3 sd"),
    Check("B3", "R at sd .01: delay over the goal", b3, 2000, 60, b3_broken, "H without its diagnostic"),
    Check("B4", "R on AUC and F1 of buckets: delay over the goal", b4, 500, 15, b4_broken, "mean ± 3 sd"),
    Check("B5", "H by bucket size: P(any false page)", b5, 2000, 10, b1_broken, "mean ± 3 sd"),
):
    register(entry)
