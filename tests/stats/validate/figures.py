"""The figures of docs/statistics.md, one for each promise; small simulations with the checks' own parts and seed."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import expit, ndtri

from app.stats.cbpe import cbpe, count_scores
from app.stats.codes import DELAY_BINS, delay_bin
from app.stats.comparison import five_by_two_f, nadeau_bengio, wilcoxon
from app.stats.delays import kaplan_meier
from app.stats.divergence import divergences
from app.stats.drift import series
from app.stats.experiments import spending_bounds
from app.stats.forecast import forecast
from app.stats.intervals import beta_mixture, normal, proportion, wilson
from app.stats.recalibration import Recalibration
from app.stats.selective import hajek
from tests.stats.simulations.canaries import traffic, worse
from tests.stats.simulations.comparing import TEST_SHARE, folds
from tests.stats.simulations.drifting import shifted
from tests.stats.simulations.exact import coverage
from tests.stats.simulations.monitors import errors
from tests.stats.simulations.rivals import OURS as OUR_MONITOR
from tests.stats.validate.charts import (
    GREEN,
    GREY,
    INK,
    ORANGE,
    OURS,
    PURPLE,
    SKY,
    Axis,
    Bars,
    Line,
    bar_chart,
    line_chart,
)
from tests.stats.validate.record import FIGURES, read

Floats = NDArray[np.float64]

SEED, DAY_S = 2026, 86_400
Draw = Callable[[Generator], str]


def accuracy(_: Generator) -> str:
    """Coverage of the interval of an accuracy from 100 labels."""
    p = np.linspace(0.7, 0.999, 300)
    lines = [
        Line(name, p.tolist(), coverage(method, 100, p).tolist(), colour)
        for name, method, colour in (
            ("Wald, ± 2 standard errors", normal, GREY),
            ("Wilson", wilson, ORANGE),
            ("what Assay shows", proportion, OURS),
        )
    ]
    lines.append(Line("95 %", [0.7, 1], [0.95, 0.95], INK, dashed=True))
    title = "How often a 95 % interval from 100 labels contains the truth"
    return line_chart(title, lines, Axis("true accuracy", 0.7, 1), Axis("coverage", 0.8, 1))


def anytime(rng: Generator) -> str:
    """P(an interval has left the truth out at some look so far)."""
    looks = np.arange(1, 2001)
    x = errors(rng, np.full((looks.size, 1000), 0.95)).cumsum(axis=0)
    n = looks[:, np.newaxis] * 500
    lines = []
    for name, method, colour in (("fixed-n (Wilson)", wilson, ORANGE), ("anytime (beta mixture)", beta_mixture, OURS)):
        low, high = method(x, n)
        missed = np.maximum.accumulate((low > 0.05) | (high < 0.05), axis=0).mean(axis=1)
        lines.append(Line(name, looks.tolist(), missed.tolist(), colour))
    lines.append(Line("5 %, the promise", [1, 2000], [0.05, 0.05], INK, dashed=True))
    title = "How often an interval has been wrong at one look or more"
    return line_chart(title, lines, Axis("looks, every 500 labels", 1, 2000, log=True), Axis("share", 0, 0.7))


def as_of(rng: Generator) -> str:
    """One day's predictions: errors' labels take 30 days, others' 3."""
    days, n = np.arange(1, 61), 20_000
    positive = rng.random(n) < 0.1
    right = np.where(positive, rng.random(n) < 0.6, rng.random(n) < 0.98)
    mean = np.where(positive, 30.0, 3.0)
    wait = rng.exponential(mean)
    raw, weighted = [], []
    for day in days:
        came = wait < day
        raw.append(right[came].mean())
        weighted.append(hajek(right[came] * 1.0, -np.expm1(-day / mean[came])))
    low, high = [w.low for w in weighted], [w.high for w in weighted]
    lines = [
        Line("labels that have come", days.tolist(), raw, ORANGE),
        Line(
            "weighted by their chance to have come", days.tolist(), [w.value for w in weighted], OURS, band=(low, high)
        ),
        Line("all labels", [1, 60], [float(right.mean())] * 2, INK, dashed=True),
    ]
    title = "Accuracy of one day's predictions where positives' labels are late"
    return line_chart(title, lines, Axis("days since", 1, 60), Axis("accuracy", 0.92, 0.98))


def maturity(rng: Generator) -> str:
    """Labels that take four days on average, for four of five predictions; the youngest of 20 days still wait."""
    n = 20_000
    age = np.linspace(0.01, 20, n)
    wait = np.where(rng.random(n) < 0.8, rng.exponential(4.0, n), np.inf)
    came = wait < age
    curve = kaplan_meier(by_bin(wait[came]), by_bin(age[~came]))
    days = np.linspace(0.1, 20, 100)
    at = days.tolist()
    lines = [
        Line("counted so far", at, [float((came & (wait < day)).mean()) for day in days], ORANGE),
        Line("as Assay estimates it", at, curve.at(days * DAY_S).tolist(), OURS),
        Line("in truth", at, (-0.8 * np.expm1(-days / 4)).tolist(), INK, dashed=True),
    ]
    title = "Share of predictions that have their label by an age"
    return line_chart(title, lines, Axis("days since the prediction", 0, 20), Axis("share", 0, 1))


def by_bin(days: Floats) -> NDArray[np.int64]:
    return np.bincount(delay_bin((days * DAY_S * 1e6).astype(np.int64)), minlength=DELAY_BINS)


def estimates(rng: Generator) -> str:
    """Weeks 0–9 as before, 10–19 other inputs, 20–29 another meaning."""
    weeks = np.arange(30)
    shift, slope = np.clip((weeks - 9) / 10, 0, 1) * 1.0, 1 - 0.8 * np.clip((weeks - 19) / 10, 0, 1)

    def rows(n: int, by: float, meaning: float) -> tuple[np.ndarray, np.ndarray]:
        x = 1.5 * rng.normal(size=n) + by
        return expit(x), rng.random(n) < expit(meaning * x)

    known = Recalibration.of_rows(*rows(5000, 0.0, 1.0))
    seen = [rows(4000, by, meaning) for by, meaning in zip(shift, slope, strict=True)]
    found = cbpe(known, np.stack([count_scores(score) for score, _ in seen]))
    real = [float(((score >= 0.5) == y).mean()) for score, y in seen]
    lines = [
        Line("estimate without labels", weeks.tolist(), found.value.tolist(), OURS, band=(found.low, found.high)),
        Line("realised, when the labels are there", weeks.tolist(), real, ORANGE),
    ]
    title = "An estimate follows other inputs (week 10), not another meaning (week 20)"
    return line_chart(title, lines, Axis("week", 0, 29), Axis("accuracy", 0.5, 0.9))


MONITORS = {
    OUR_MONITOR: ("Assay", OURS),
    "river ADWIN": ("ADWIN", GREEN),
    "river DDM": ("DDM", SKY),
    "river PageHinkley": ("PageHinkley", PURPLE),
    "NannyML ± 3 sd": ("NannyML ± 3 sd", ORANGE),
    "Evidently z test, p < .05, on correctness": ("Evidently z test", GREY),
}


def monitors(_: Generator) -> str:
    """V26's table: P(any alarm) in 100,000 stable predictions."""
    heading, *rows = next(row.table for row in read().rows if row.id == "V26")
    groups = heading[2:6]
    found = {row[0]: [float(cell) for cell in row[2:6]] for row in rows}
    bars = [Bars(name, found[key], colour) for key, (name, colour) in MONITORS.items() if key in found]
    title = "Pages on 100,000 predictions of a model that does not change"
    return bar_chart(title, groups, bars, Axis("share of streams", 0, 1.08), ("5 %, the budget", 0.05))


def canary(rng: Generator) -> str:
    """10 % of the traffic, 500 requests a look, 5 % errors."""
    looks, runs = 60, 1000
    shape, odds = (looks, runs), (0.1 / 0.9) / (0.05 / 0.95)
    same, bad = (traffic(rng, np.full(shape, 0.05), by, np.full(shape, 0.1)) for by in (1.0, odds))
    x_a, n_a, x_b, n_b = (part.cumsum(axis=0) for part in same)
    pooled = (x_a + x_b) / (n_a + n_b)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / n_a + 1 / np.maximum(n_b, 1)))
    z = (x_b / np.maximum(n_b, 1) - x_a / n_a) / error
    at = np.arange(1, looks + 1).tolist()

    def ever(hit: np.ndarray) -> list[float]:
        return np.maximum.accumulate(hit, axis=0).mean(axis=1).tolist()

    lines = [
        Line("z test at each look, equal canary", at, ever(np.abs(z) > 1.96), ORANGE),
        Line("Assay, equal canary", at, ever(worse(same) >= np.log(20)), OURS),
        Line("Assay, twice the errors", at, ever(worse(bad) >= np.log(20)), GREEN),
        Line("5 %", [1, looks], [0.05, 0.05], INK, dashed=True),
    ]
    title = "Canaries rolled back by a look"
    return line_chart(title, lines, Axis("looks of 500 requests, a tenth to the canary", 1, 60), Axis("share", 0, 1))


def comparison(rng: Generator) -> str:
    """Rejections of a true null at .05."""
    d = folds(rng, 2000)
    t = d.mean(axis=1) / (d.std(axis=1, ddof=1) / np.sqrt(d.shape[1]))
    sizes = [
        float((np.abs(t) > 1.984).mean()),
        float(np.mean([nadeau_bengio(row, TEST_SHARE).p < 0.05 for row in d])),
        float(np.mean([five_by_two_f(row).p < 0.05 for row in rng.normal(size=(2000, 5, 2))])),
        float(np.mean([wilcoxon(row).p < 0.05 for row in rng.normal(size=(2000, 12))])),
    ]
    groups = ("t test on 10 × 10 folds", "Nadeau-Bengio", "5 × 2 F", "Wilcoxon, 12 data sets")
    title = "How often two equal models are called different"
    axis = Axis("share of comparisons", 0, 0.7)
    return bar_chart(title, groups, [Bars("p < .05", sizes, OURS)], axis, ("5 %", 0.05))


def drift(rng: Generator) -> str:
    """A normal column moved by .05 of its sd (margin .1) and by .2, 32 quantile bins."""
    edges, sizes = ndtri(np.arange(1, 32) / 32), np.geomspace(300, 1_000_000, 15).astype(int)
    even, runs = np.full(32, 1 / 32), 400
    alone, small, large = [], [], []
    for n in sizes:
        reference = rng.multinomial(n, even, runs)
        moved = [rng.multinomial(n, shifted(edges, by), runs) for by in (0.05, 0.2)]
        alone.append(float((divergences(reference, moved[0]).p < 0.05).mean()))
        for found, counts in zip((small, large), moved, strict=True):
            found.append(float(series(reference, counts, edges).drifted.mean()))
    at = sizes.tolist()
    lines = [
        Line("p < .05 alone, moved by .05 sd", at, alone, ORANGE),
        Line("two keys, moved by .05 sd", at, small, OURS),
        Line("two keys, moved by .2 sd", at, large, GREEN),
    ]
    title = "Drift reported: it must be significant and larger than the margin (.1 sd)"
    return line_chart(title, lines, Axis("rows on each side", 300, 1_000_000, log=True), Axis("share", 0, 1))


def experiments(rng: Generator) -> str:
    """Equal arms, ten planned looks."""
    looks, runs = 10, 20_000
    bounds = spending_bounds(np.arange(1, looks + 1) / looks).z
    z = rng.normal(size=(looks, runs)).cumsum(axis=0) / np.sqrt(np.arange(1, looks + 1))[:, np.newaxis]
    at = np.arange(1, looks + 1).tolist()
    naive, planned = (
        np.maximum.accumulate(np.abs(z) >= limit, axis=0).mean(axis=1).tolist()
        for limit in (1.96, bounds[:, np.newaxis])
    )
    lines = [
        Line("|z| > 1.96 at each look", at, naive, ORANGE),
        Line("planned looks (O'Brien-Fleming spending)", at, planned, OURS),
        Line("5 %", [1, looks], [0.05, 0.05], INK, dashed=True),
    ]
    title = "Experiments with two equal arms that were called by a look"
    return line_chart(title, lines, Axis("look", 1, looks), Axis("share", 0, 0.25))


def forecasts(rng: Generator) -> str:
    """A rate with a daily season over ten days, and the two that follow."""
    hours = np.arange(288)
    values = 0.93 + 0.01 * np.sin(2 * np.pi * hours / 24) + 0.004 * rng.normal(size=hours.size)
    known, horizon = 240, 48
    found = forecast(values[:known], horizon, season=24, low_limit=0, high_limit=1)
    at = hours[known:].tolist()
    lines = [
        Line("what came", hours[168:].tolist(), values[168:].tolist(), ORANGE),
        Line("forecast with its 95 % interval", at, found.value.tolist(), OURS, band=(found.low, found.high)),
    ]
    title = "Accuracy of the next two days, forecast from ten"
    return line_chart(title, lines, Axis("hour", 168, 288), Axis("accuracy", 0.9, 0.96))


DRAWN: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        accuracy,
        anytime,
        as_of,
        maturity,
        estimates,
        monitors,
        canary,
        comparison,
        drift,
        experiments,
        forecasts,
    )
}


def draw(console: Console) -> int:
    FIGURES.mkdir(exist_ok=True)
    for name, drawn in DRAWN.items():
        (FIGURES / f"{name}.svg").write_text(drawn(np.random.default_rng(SEED)))
        console.print(f"docs/figures/{name}.svg")
    return 0
