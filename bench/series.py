"""STATS: a year of hourly rollups with all metrics, and monitors that look at every bucket."""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.special import expit

from app.stats.metrics import METRICS, estimate, metrics_of
from app.stats.planning import Budget, plan_rate, rate_of
from app.stats.seasons import WEEK
from app.stats.sequential import Bucket, State, begin, update
from app.stats.tally import Shape, Tally, Task, core_only, count_labels, count_predictions, merge, regroup
from bench.report import Line, ms, show, timed

HOURS = 8760


def year() -> None:
    """8,760 hours of 200 predictions, all metrics with intervals at each; and the same as one value."""
    random, rows = np.random.default_rng(3), 200
    n = HOURS * rows
    score = expit(1.5 * random.normal(size=n))
    given = {"predicted": (score >= 0.5).astype(np.int16), "score": score}
    shape, cell = Shape(Task.BINARY, 2), np.repeat(np.arange(HOURS), rows)
    counted = merge(
        [
            count_labels(
                shape, cell, HOURS, actual=(random.random(n) < score) * 1.0, delay_us=np.zeros(n, np.int64), **given
            ),
            count_predictions(shape, cell, HOURS, **given),
        ]
    )
    core = [name for name in metrics_of(Task.BINARY) if not METRICS[name].needs_histogram]
    names = metrics_of(Task.BINARY)
    counts = core_only(counted)  # what a trend of these reads
    total = Tally.of(shape, HOURS, counted).total().sparse
    segments = merge([regroup(total, np.array([segment])) for segment in range(100)])
    seconds = timed(
        {
            "core": lambda: [estimate(tally, name) for tally in [Tally.of(shape, HOURS, counts)] for name in core],
            "all": lambda: [estimate(tally, name) for tally in [Tally.of(shape, HOURS, counted)] for name in names],
            "sum": lambda: [estimate(tally, name) for tally in [Tally.of(shape, 100, segments)] for name in names],
            "overall": lambda: Tally.of(shape, HOURS, counted).total(),
        },
        7,
    )
    show(
        f"STATS a year of hourly rollups ({len(counted):,} entries), {len(names)} metrics with intervals, ms",
        [
            Line(
                f"8,760 points, the {len(core)} metrics of counts and sums",
                ms(seconds["core"]),
                "",
                seconds["core"] * 1e3,
                100,
                at_most=True,
            ),
            Line(
                "8,760 points, all metrics, with AUC and ECE from histograms",
                ms(seconds["all"]),
                "",
                seconds["all"] * 1e3,
                100,
                at_most=True,
            ),
            Line("their sum, for the overall figure", ms(seconds["overall"]), "", seconds["overall"] * 1e3),
            Line(
                "one value of the year for each of 100 segments, all metrics",
                ms(seconds["sum"]),
                "",
                seconds["sum"] * 1e3,
                100,
                at_most=True,
            ),
        ],
    )


def monitors() -> None:
    """1,000 monitors of H and R, 100 buckets each; and one of them with a year of hours behind it."""
    random, looks = np.random.default_rng(4), 100
    x = random.binomial(500, 0.05, HOURS + looks).tolist()
    stream = [rate_of(Bucket(i, 500, events, slot=i % WEEK)) for i, events in enumerate(x)]
    monitor = plan_rate(1, stream[:WEEK], slots=WEEK, budget=Budget(monitors=1000)).monitor
    young, old = begin(monitor, stream[HOURS - WEEK : HOURS]), begin(monitor, stream[:HOURS])

    def watch(start: State) -> State:
        state = start
        for bucket in stream[HOURS:]:
            state, _ = update(monitor, state, bucket)
        return state

    seconds = {name: cpu_of(partial(watch, state), 10) / looks for name, state in (("a week", young), ("a year", old))}
    show(
        "STATS monitor updates, H and R by hour of the week, CPU",
        [
            Line(
                f"10⁵ updates with {name} of history, s",
                f"{each * 1e6:.0f} µs each",
                "",
                each * 1e5,
                6,
                at_most=True,
            )
            for name, each in seconds.items()
        ],
    )


def cpu_of(job: Callable[[], object], rounds: int) -> float:
    """Seconds of processor time, the median round's."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        job()
        found.append(time.process_time() - started)
    return statistics.median(found)
