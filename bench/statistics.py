"""DRIFT, ESTIMATE, COMPARE (STATS: `series`): ours beside sorting, numpy, scikit-learn and scipy on the same data."""

import tracemalloc

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from app.stats.cbpe import cbpe, count_scores
from app.stats.comparison import auc_bootstrap, delong_pair, paired_accuracy
from app.stats.drift import NumberReference, many_numbers, series
from app.stats.recalibration import Recalibration
from bench.report import Line, ms, show, timed
from bench.series import monitors, year

Floats = NDArray[np.float64]

COLUMNS, BINS = 30, 2048


def run(*, full: bool) -> None:
    drift(100_000)
    if full:
        drift(1_000_000)
        memory(1_000_000)
    estimation()
    comparison()
    year()
    monitors()


def drift(rows: int) -> None:
    random = np.random.default_rng(0)
    before, now = random.normal(size=(COLUMNS, rows)), random.normal(0.02, 1.01, size=(COLUMNS, rows))
    references = [NumberReference.of(column) for column in before]
    edges = np.linspace(-4, 4, BINS - 1)
    old, new = (np.stack([_counted(column, edges) for column in side]) for side in (before, now))
    hourly = np.stack([random.multinomial(rows // 24, counts / rows) for counts in np.repeat(new, 24, axis=0)])
    hourly = hourly.reshape(COLUMNS, 24, BINS)
    seconds = timed(
        {
            "sort": lambda: [np.sort(column) for column in now],
            "scipy": lambda: [
                (stats.ks_2samp(a, b), stats.wasserstein_distance(a, b))
                for a, b in zip(before[:2], now[:2], strict=True)
            ],
            "exact": lambda: many_numbers(references, list(now)),
            "rollups": lambda: series(old, hourly.sum(axis=1), edges),
        },
        3,
    )
    scipy = seconds["scipy"] * COLUMNS / 2
    ours, rollups, sort = seconds["exact"], seconds["rollups"], seconds["sort"]
    show(
        f"DRIFT {rows:,} × {COLUMNS} against the same: KS, Wasserstein, JS, PSI with p and limits",
        [
            Line("exact, against sorting the current rows", ms(ours), ms(sort), ours / sort, 3, at_most=True),
            Line("exact, against scipy's KS and Wasserstein", ms(ours), ms(scipy), ours / scipy, 0.25, at_most=True),
            Line("from 24 rollups of 2,048 bins, ms", ms(rollups), "", rollups * 1e3, 10, at_most=True),
        ],
        "the reference is sorted once, before; two threads; scipy scaled from 2 columns",
    )


def memory(rows: int) -> None:
    """What a comparison holds at its most, the rows of both sides among it."""
    random = np.random.default_rng(0)
    tracemalloc.start()
    now = [random.normal(0.02, 1.01, size=rows) for _ in range(COLUMNS)]
    references = [NumberReference.of(random.normal(size=rows)) for _ in range(COLUMNS)]
    tracemalloc.reset_peak()
    many_numbers(references, now)
    data, peak = 2 * COLUMNS * rows * 8, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    show(
        f"DRIFT {rows:,} × {COLUMNS}: memory",
        [
            Line(
                "exact, against the data",
                f"{peak / 1e6:,.0f} MB",
                f"{data / 1e6:,.0f} MB",
                peak / data,
                1.3,
                at_most=True,
            )
        ],
    )


def _counted(column: Floats, edges: Floats) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, column, side="right"), minlength=edges.size + 1)


def estimation() -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=1_200_000) * 1.5, random.random(1_200_000)
    score, outcome = expit(x), y < expit(0.9 * x)
    known, labels, now = score[:200_000], outcome[:200_000], score[200_000:]
    recalibration, counts = Recalibration.of_rows(known, labels), count_scores(now)

    def by_numpy() -> tuple[float, float, float]:
        chance = IsotonicRegression(out_of_bounds="clip").fit(known, labels).predict(now)
        above = now >= 0.5
        tp, fp, fn = chance[above].sum(), (1 - chance[above]).sum(), chance[~above].sum()
        order = np.argsort(now)
        hit = chance[order]
        below = np.cumsum(1 - hit)
        area = float((hit * (below - (1 - hit) / 2)).sum() / (hit.sum() * (1 - hit).sum()))
        return float(np.where(above, chance, 1 - chance).mean()), float(2 * tp / (2 * tp + fp + fn)), area

    def ours() -> list[float]:
        fresh = Recalibration.of_rows(known, labels)
        seen = count_scores(now)
        return [float(cbpe(fresh, seen, name).value[0]) for name in ("accuracy", "f1", "roc_auc")]

    seconds = timed(
        {
            "numpy": by_numpy,
            "raw": ours,
            "rollups": lambda: [cbpe(recalibration, counts, name) for name in ("accuracy", "f1", "roc_auc")],
        },
        3,
    )
    apart = max(abs(a - b) for a, b in zip(by_numpy(), ours(), strict=True))
    show(
        "ESTIMATE CBPE, accuracy, F1, AUC of 10⁶ rows, 200,000 labelled before",
        [
            Line(
                "raw, with intervals",
                ms(seconds["raw"]),
                ms(seconds["numpy"]),
                seconds["raw"] / seconds["numpy"],
                1.3,
                at_most=True,
            ),
            Line("from rollups, ms", ms(seconds["rollups"]), "", seconds["rollups"] * 1e3, 10, at_most=True),
        ],
        f"limit: isotonic fit and plain numpy, without intervals; the values differ by at most {apart:.1e}",
    )


def comparison() -> None:
    random, n = np.random.default_rng(2), 100_000
    actual = random.random(n) < 0.3
    scores = actual + random.normal(size=(2, n)) + 0.5 * random.normal(size=n)
    right = (scores > 0.5) == actual
    b, c = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    d = right[0].astype(np.float64) - right[1]

    def scipy_area() -> object:
        def area(y: NDArray[np.bool_], one: Floats, other: Floats) -> float:
            return float(roc_auc_score(y, one) - roc_auc_score(y, other))

        return stats.bootstrap(
            (actual, *scores), area, paired=True, vectorized=False, n_resamples=5, method="percentile", rng=random
        )

    def scipy_accuracy() -> object:
        return stats.bootstrap((d,), np.mean, n_resamples=50, method="percentile", rng=random)

    seconds = timed(
        {
            "midrank": lambda: midrank_delong(actual, scores),
            "delong": lambda: delong_pair(actual, *scores),
            "scipy area": scipy_area,
            "area": lambda: auc_bootstrap(actual, scores, seed=1, resamples=200),
            "scipy accuracy": scipy_accuracy,
            "accuracy": lambda: paired_accuracy(b, c, n, random, resamples=1000),
        },
        3,
    )
    theirs, area = seconds["scipy area"] * 200, seconds["area"] * 5
    rate, multinomial = seconds["scipy accuracy"] * 20, seconds["accuracy"]
    show(
        "COMPARE 10⁵ labels, two models",
        [
            Line(
                "DeLong, against midranks",
                ms(seconds["delong"]),
                ms(seconds["midrank"]),
                seconds["delong"] / seconds["midrank"],
                1.2,
                at_most=True,
            ),
            Line(
                "AUC difference, 1,000 resamples, against scipy",
                ms(area),
                ms(theirs),
                area / theirs,
                0.06,
                at_most=True,
            ),
            Line(
                "accuracy difference, 1,000 resamples, against scipy",
                ms(multinomial),
                ms(rate),
                multinomial / rate,
                0.06,
                at_most=True,
            ),
        ],
        "ours scaled from 200 resamples, scipy from 5 and 50",
    )


def midrank_delong(actual: NDArray[np.bool_], scores: Floats) -> Floats:
    """Sun and Xu's algorithm as it is published: three sorts a score."""
    m, n = int(actual.sum()), int((~actual).sum())
    every = np.stack([midranks(row) for row in scores])
    of_positives = (every[:, actual] - np.stack([midranks(row[actual]) for row in scores])) / n
    of_negatives = 1 - (every[:, ~actual] - np.stack([midranks(row[~actual]) for row in scores])) / m
    return np.asarray(np.cov(of_positives) / m + np.cov(of_negatives) / n)


def midranks(values: Floats) -> Floats:
    order = np.argsort(values)
    ordered = values[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    size = np.diff(first, append=values.size)
    ranks = np.empty(values.size)
    ranks[order] = np.repeat(first + (size + 1) / 2, size)
    return ranks
