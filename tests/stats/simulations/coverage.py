"""V13–V16: intervals of metrics cover, over sizes, prevalences and qualities. Figure: the worst cell's misses."""

from itertools import product

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtr

from app.stats.auc import Ranks, delong_interval, newcombe, ranks_of
from app.stats.codes import SCORE_BINS, Family, code, pair, score_bin
from app.stats.intervals import clopper_pearson, t_interval, wilson, z_of
from app.stats.metrics import estimate
from app.stats.sparse import consolidate, keys
from app.stats.tally import Shape, Tally, Task, count_labels
from tests.stats.dense import ladder
from tests.stats.simulations.registry import Check, Result, rate_at_most, register

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SLACK = 0.005  # documented: approximate methods may cover .945
AREA_SLACK = 0.01


def missed(low: Floats, high: Floats, truth: float) -> float:
    return float(((low > truth) | (high < truth)).mean())


def worst(cells: dict[str, float], slack: float, runs: int) -> Result:
    name = max(cells, key=lambda key: cells[key])
    mean = float(np.mean(list(cells.values())))
    return rate_at_most(cells[name], 0.05 + slack, runs, f"at {name}; mean of {len(cells)} cells {mean:.4f}")


def cells_of_f1() -> list[tuple[int, float, float, float]]:
    grid = product(
        (200, 1000, 5000), (0.02, 0.1, 0.3, 0.5), ((0.9, 0.8), (0.7, 0.6), (0.5, 0.9), (0.95, 0.95), (0.8, 0.5))
    )
    return [(n, prevalence, precision, recall) for n, prevalence, (precision, recall) in grid]


def jaccard_counts(rng: Generator, runs: int, cell: tuple[int, float, float, float]) -> tuple[Ints, Ints, float]:
    """tp, tp + fp + fn, and the true F1 of a cell."""
    n, prevalence, precision, recall = cell
    tp = prevalence * recall
    fp, fn = tp * (1 - precision) / precision, prevalence - tp
    drawn = rng.multinomial(n, [tp, fp, fn, 1 - tp - fp - fn], runs)
    return drawn[:, 0], drawn[:, :3].sum(axis=1), 2 * tp / (2 * tp + fp + fn)


def v13(runs: int, rng: Generator) -> Result:
    """Clopper-Pearson everywhere; Wilson where at least 200 union rows are expected, as the table switches."""
    found = {}
    for cell in cells_of_f1():
        tp, union, truth = jaccard_counts(rng, runs, cell)
        method = wilson if union.mean() >= 200 else clopper_pearson
        low, high = (np.asarray(end) for end in method(tp, union))
        found[str(cell)] = missed(2 * low / (1 + low), 2 * high / (1 + high), truth)
    return worst(found, SLACK, runs)


def v13_broken(runs: int, rng: Generator) -> Result:
    """Delta method on F1 itself."""
    found = {}
    for cell in cells_of_f1():
        tp, union, truth = jaccard_counts(rng, runs, cell)
        j = tp / np.maximum(union, 1)
        error = 2 / (1 + j) ** 2 * np.sqrt(j * (1 - j) / np.maximum(union, 1))
        value, half = 2 * j / (1 + j), z_of(0.95) * error
        found[str(cell)] = missed(value - half, value + half, truth)
    return worst(found, SLACK, runs)


def tally_of(confusion: Ints) -> Tally:
    """[P, k, k] counts as a tally."""
    points, k, _ = confusion.shape
    point, actual, predicted = (part.ravel() for part in np.indices(confusion.shape))
    codes = pair(actual, predicted) + code(Family.CONFUSION)
    labelled = np.full(points, code(Family.LABELLED))
    key = keys(np.concatenate((point, np.arange(points))), np.concatenate((codes, labelled)))
    amount = np.concatenate((confusion.ravel(), confusion.sum(axis=(1, 2)))).astype(np.int64)
    return Tally.of(Shape(Task.BINARY if k == 2 else Task.MULTICLASS, k), points, consolidate(key, amount))


def cells_of_agreement() -> list[tuple[int, Floats]]:
    """Every margin expects at least 10."""
    binary = [
        np.array([[(1 - p) * s, (1 - p) * (1 - s)], [p * (1 - r), p * r]])
        for p, r, s in product((0.1, 0.3, 0.5), (0.6, 0.9), (0.9, 0.98))
    ]
    return [
        (n, shares)
        for n, shares in product((200, 1000, 5000), binary)
        if n * min(shares.sum(0).min(), shares.sum(1).min()) >= 10
    ]


def v14(runs: int, rng: Generator) -> Result:
    found = {}
    for i, (n, shares) in enumerate(cells_of_agreement()):
        drawn = rng.multinomial(n, shares.ravel(), runs).reshape(runs, 2, 2)
        small, large = tally_of(drawn), tally_of(np.rint(shares * 1e9).astype(np.int64)[np.newaxis])
        for name in ("mcc", "kappa", "f1_macro", "f1_weighted"):
            seen = estimate(small, name)
            found[f"{name} {i} n={n}"] = missed(seen.low, seen.high, float(estimate(large, name).value[0]))
    return worst(found, AREA_SLACK, runs)


def v14_broken(runs: int, rng: Generator) -> Result:
    """The delta method without Fisher's z, pretending that all rows are one proportion's."""
    found = {}
    for i, (n, shares) in enumerate(cells_of_agreement()):
        drawn = rng.multinomial(n, shares.ravel(), runs).reshape(runs, 2, 2)
        seen = estimate(tally_of(drawn), "mcc")
        truth = float(estimate(tally_of(np.rint(shares * 1e9).astype(np.int64)[np.newaxis]), "mcc").value[0])
        half = z_of(0.95) * np.sqrt((1 - seen.value**2) / n) * np.sqrt(1 - np.abs(seen.value))
        found[f"mcc {i} n={n}"] = missed(seen.value - half, seen.value + half, truth)
    return worst(found, AREA_SLACK, runs)


def areas(rng: Generator, runs: int, m: int, n: int, area: float, ratio: float) -> Ranks:
    """Binormal scores; positives `ratio` times as spread out as negatives."""
    shift = float(np.sqrt(1 + ratio**2) * inverse_normal(area))
    negative = score_bin(ndtr(rng.normal(size=(runs, n)) / 3).ravel())
    positive = score_bin(ndtr((shift + ratio * rng.normal(size=(runs, m))) / 3).ravel())
    return ranks_of([ladder(by_run(positive, runs), by_run(negative, runs))])


def by_run(bins: Ints, runs: int) -> Ints:
    row = np.repeat(np.arange(runs), bins.size // runs)
    return np.bincount(row * SCORE_BINS + bins, minlength=runs * SCORE_BINS).reshape(runs, SCORE_BINS)


def inverse_normal(p: float) -> float:
    low, high = -8.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ndtr(middle) < p else (low, middle)
    return high


def cells_of_areas() -> list[tuple[int, int, float, float]]:
    sizes = ((10, 90), (20, 180), (50, 450), (50, 50), (200, 200))
    return [(m, n, a, r) for (m, n), a, r in product(sizes, (0.6, 0.8, 0.9, 0.98), (0.5, 1.0, 2.0))]


def v15(runs: int, rng: Generator) -> Result:
    found = {}
    for cell in cells_of_areas():
        ranks = areas(rng, runs, *cell)
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = newcombe(ranks.area, ranks.positives, ranks.negatives, 0.95)
        other = delong_interval(ranks, 0.95)
        found[str(cell)] = missed(np.fmin(low, other[0]) - ranks.bound, np.fmax(high, other[1]) + ranks.bound, cell[2])
    return worst(found, 0.02, runs)


def v15_broken(runs: int, rng: Generator) -> Result:
    """DeLong's interval as it is, without logit and t."""
    found = {}
    for cell in cells_of_areas():
        ranks = areas(rng, runs, *cell)
        half = z_of(0.95) * np.sqrt(ranks.of_positives + ranks.of_negatives)
        found[str(cell)] = missed(ranks.area - half, ranks.area + half, cell[2])
    return worst(found, 0.02, runs)


def losses(rng: Generator, n: int, runs: int, rate: float) -> Tally:
    score = np.clip(rng.beta(rate * 4, (1 - rate) * 4, n * runs), 1e-4, 1 - 1e-4)
    actual = rng.random(n * runs) < score
    shape = Shape(Task.BINARY, 2)
    rows = {"actual": actual * 1.0, "predicted": (score >= 0.5).astype(np.int16), "score": score}
    counted = count_labels(shape, np.repeat(np.arange(runs), n), runs, **rows, delay_us=np.zeros(n * runs, np.int64))
    return Tally.of(shape, runs, counted)


def regressions(rng: Generator, n: int, runs: int, df: float) -> Tally:
    """Errors by Student's t: skewed squares."""
    actual = 50 + 3 * rng.normal(size=n * runs)
    score = actual + rng.standard_t(df, n * runs)
    shape = Shape(Task.REGRESSION, 0)
    zeros = np.zeros(n * runs, np.int64)
    cell = np.repeat(np.arange(runs), n)
    counted = count_labels(
        shape, cell, runs, actual=actual, score=score, predicted=zeros.astype(np.int16), delay_us=zeros
    )
    return Tally.of(shape, runs, counted)


def v16(runs: int, rng: Generator) -> Result:
    """From 1,000 rows; losses of rare events too, where the method changes by itself."""
    found = {}
    for rate in (0.003, 0.01, 0.1, 0.5):
        large, small = losses(rng, 500_000, 1, rate), losses(rng, 1000, runs, rate)
        for name in ("log_loss", "brier"):
            seen = estimate(small, name)
            found[f"{name} {rate}"] = missed(seen.low, seen.high, float(estimate(large, name).value[0]))
    for df in (8.0, 30.0):
        seen, mse = estimate(regressions(rng, 1000, runs, df), "rmse"), df / (df - 2)
        found[f"rmse t({df:g})"] = missed(seen.low, seen.high, float(np.sqrt(mse)))
        seen = estimate(regressions(rng, 1000, runs, df), "r2")
        found[f"r2 t({df:g})"] = missed(seen.low, seen.high, 1 - mse / 9)
    return worst(found, AREA_SLACK, runs)


def v16_broken(runs: int, rng: Generator) -> Result:
    """The same t-interval on 100 rows of rare events, without the warning."""
    truth = float(estimate(losses(rng, 1_000_000, 1, 0.01), "log_loss").value[0])
    score = np.clip(rng.beta(0.04, 3.96, (runs, 100)), 1e-4, 1 - 1e-4)
    loss = -np.log(np.where(rng.random(score.shape) < score, score, 1 - score))
    low, high = t_interval(loss.mean(axis=1), loss.var(axis=1, ddof=1), 100)
    return worst({"log_loss of 100 rows at 1 %": missed(low, high, truth)}, AREA_SLACK, runs)


for check in (
    Check(
        "V13", "misses of F1's interval by Jaccard, worst of 60 cells", v13, 2000, 300, v13_broken, "delta method on F1"
    ),
    Check("V14", "misses of MCC, kappa, macro F1, worst cell", v14, 2000, 300, v14_broken, "MCC by one proportion"),
    Check("V15", "misses of the AUC's union interval, worst of 60 cells", v15, 2000, 200, v15_broken, "raw DeLong"),
    Check(
        "V16", "misses of losses' and errors' intervals, worst cell", v16, 2000, 400, v16_broken, "t on 100 rare losses"
    ),
):
    register(check)
