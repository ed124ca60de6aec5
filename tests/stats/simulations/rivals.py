"""V26: the peers' rules on the same streams as ours, from their own packages where their environment is there.

Rules that are a line of numpy run on every stream; the packages on fewer, and the two must agree on each of those.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtr

from app.stats.planning import Budget, merge, plan_rate, rate_of
from app.stats.sequential import Bucket, begin, update
from tests.stats.simulations import sources
from tests.stats.simulations.monitors import autoregressive
from tests.stats.simulations.registry import Check, Result, most, register
from tests.stats.simulations.streams import LOOKS, REFERENCE, ROWS, accuracies, errors, three_sigma

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Firsts = dict[str, Ints]

DAY, WEEK, TEN_DAYS = 24, 168, 240
CHANGE = LOOKS // 2
# Streams for river's fast detectors, and for packages that need a second or more for each.
PACKAGES, SLOW = 40, 12


@dataclass(frozen=True, slots=True)
class Stream:
    """`accuracy` [reference + 200 looks, runs] of buckets of 500 rows. `start`: the look of the change, 0 if none."""

    name: str
    accuracy: Floats
    reference: int
    season: int = 1
    start: int = 0


def stable(rng: Generator, runs: int) -> list[Stream]:
    hours = np.sin(2 * np.pi * np.arange(WEEK + LOOKS) / DAY)[:, np.newaxis]
    wave = 0.95 + 0.01 * autoregressive(rng, 0.7, TEN_DAYS + LOOKS, runs)
    return [
        Stream("iid", np.full((REFERENCE + LOOKS, runs), 0.95), REFERENCE),
        Stream("over-dispersed", accuracies(rng, 0.95, 0.01, REFERENCE + LOOKS, runs), REFERENCE),
        Stream("seasonal", np.broadcast_to(0.95 + 0.02 * hours, (WEEK + LOOKS, runs)), WEEK, season=DAY),
        Stream("AR(1)", wave.clip(0.5, 1), TEN_DAYS),
    ]


def changing(runs: int) -> list[Stream]:
    found = []
    for after in (0.90, 0.93):
        accuracy = np.full((REFERENCE + LOOKS, runs), 0.95)
        accuracy[REFERENCE + CHANGE :] = after
        found.append(Stream(f".95→{after:.2f}"[:8].replace("0.", "."), accuracy, REFERENCE, start=CHANGE))
    return found


def ours(x: Ints, stream: Stream, key: int) -> int:
    """A monitor as Assay plans it from the reference: it merges, matches the season, picks who may page."""
    buckets = [rate_of(Bucket(i, ROWS, int(errors), slot=i % stream.season)) for i, errors in enumerate(x)]
    known, coming = buckets[: stream.reference], buckets[stream.reference :]
    plan = plan_rate(key, known, slots=stream.season, budget=Budget(0.05, looks=LOOKS))
    state = begin(plan.monitor, merge(known, plan.merge))
    for look, bucket in enumerate(merge(coming, plan.merge)):
        state, readings = update(plan.monitor, state, bucket)
        last = (look + 1) * plan.merge - 1
        if last >= stream.start and any(reading.alarm and reading.pages for reading in readings):
            return last
    return -1


def from_start(outside: NDArray[np.bool_], start: int) -> Ints:
    late = outside[start:]
    return np.where(late.any(axis=0), late.argmax(axis=0) + start, -1)


def z_test(reference: Ints, x: Ints, start: int) -> Ints:
    """Two proportions, pooled, p < .05 in each window: Evidently's default for labels of correctness."""
    n = len(reference) * ROWS
    before, pooled = reference.sum(axis=0) / n, (reference.sum(axis=0) + x) / (n + ROWS)
    z = (x / ROWS - before) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / ROWS))
    return from_start(2 * ndtr(-np.abs(z)) < 0.05, start)


def sigma(reference: Ints, x: Ints, start: int) -> Ints:
    """Mean ± 3 sd of the reference's buckets, divided by their number: NannyML's default."""
    center, spread = reference.mean(axis=0), reference.std(axis=0)
    return from_start(np.abs(x - center) > 3 * spread, start)


COPIES: dict[str, Callable[[Ints, Ints, int], Ints]] = {
    "NannyML ± 3 sd": sigma,
    "Evidently z test, p < .05, on correctness": z_test,
}
# P(any alarm) in 100,000 stable predictions as first measured, and in how many streams: iid, over-dispersed.
MEASURED: dict[str, tuple[tuple[str, float, int], ...]] = {
    "NannyML ± 3 sd": (("iid", 0.59, 2000), ("over-dispersed", 0.66, 2000)),
    "Evidently z test, p < .05, on correctness": (("iid", 1.0, 2000), ("over-dispersed", 1.0, 2000)),
    "Evidently Jensen-Shannon ≥ .1, on correctness": (("iid", 0.0, 500),),
    "Evidently KS, p < .05, on an input": (("iid", 0.975, 40),),
    "Evidently PSI ≥ .1, on an input": (("iid", 0.40, 40),),
    "river ADWIN": (("iid", 0.010, 400), ("over-dispersed", 0.42, 400)),
    "river DDM": (("iid", 0.65, 400),),
    "river EDDM": (("iid", 0.99, 400),),
    "river PageHinkley": (("iid", 0.93, 400),),
    "river HDDM_A": (("iid", 0.009, 117),),
    "river HDDM_W": (("iid", 0.0, 213),),
}
OURS = "Assay, as it plans itself"


def apart(found: float, runs: int, measured: float, of: int) -> bool:
    """Beyond three standard errors of a difference; half an event is forgiven at 0 and 1."""
    pooled = (found * runs + measured * of + 0.5) / (runs + of + 1)
    return abs(found - measured) > 3 * np.sqrt(pooled * (1 - pooled) * (1 / runs + 1 / of)) + 0.5 / runs


def by_rule(stream: Stream, x: Ints) -> dict[str, Ints]:
    """The look of each stream's first alarm, −1 for none."""
    reference, coming = x[: stream.reference], x[stream.reference :]
    found = {OURS: np.array([ours(x[:, run], stream, run) for run in range(x.shape[1])])}
    return found | {name: copy(reference, coming, stream.start) for name, copy in COPIES.items()}


def by_packages(streams: list[Stream], counts: list[Ints], rng: Generator) -> tuple[list[Firsts], dict[str, str]]:
    """The same counts as rows, in random order within each bucket, and inputs that never change."""
    with tempfile.TemporaryDirectory() as folder:
        for i, x in enumerate(counts):
            rows = (np.arange(ROWS) < x[:, :PACKAGES].T[:, :, np.newaxis]).astype(np.int8)
            errors_ = rng.permuted(rows, axis=2).reshape(len(rows), -1)
            np.savez(Path(folder) / f"{i}.npz", errors=errors_, inputs=rng.normal(size=(SLOW, 1000 + LOOKS * ROWS)))
        cases = [{"reference": stream.reference * ROWS, "start": stream.start} for stream in streams]
        answer = sources.ask_peers({"rows": ROWS, "slow": SLOW, "cases": cases}, Path(folder))
    found = [{name: np.array(looks) for name, looks in case.items()} for case in answer["first"]]
    return found, answer["versions"]


def shown(first: Ints, stream: Stream) -> str:
    """P(any alarm), or the mean delay in predictions, and the share that never sees it."""
    if not stream.start:
        return f"{(first >= 0).mean():.3f}"
    if (first < 0).mean() > 0.5:
        return f"missed by {(first < 0).mean():.0%}"
    seen = (first[first >= 0] - stream.start + 1) * ROWS
    missed = f", missed by {(first < 0).mean():.0%}" if (first < 0).any() else ""
    return f"{seen.mean():,.0f}{missed}"


@dataclass(frozen=True, slots=True)
class Side:
    """`first`: by stream, then monitor. `differ`: streams on which a package and its line of numpy disagree."""

    streams: list[Stream]
    first: list[Firsts]
    differ: int
    versions: dict[str, str]

    def table(self) -> tuple[tuple[str, ...], ...]:
        rows: dict[str, list[str]] = {}
        for stream, firsts in zip(self.streams, self.first, strict=True):
            for name, first in firsts.items():
                rows.setdefault(name, [f"{len(first):,}"]).append(shown(first, stream))
        heading = ("monitor", "streams", *(stream.name for stream in self.streams))
        ordered = sorted(rows.items(), key=lambda row: row[0] != OURS)
        return heading, *((name, *cells) for name, cells in ordered)

    def off(self) -> list[str]:
        """Monitors whose rate is not the one first measured, where it was."""
        measured = {(name, stream): rest for name, found in MEASURED.items() for stream, *rest in found}
        return [
            f"{name}, {stream.name}"
            for stream, firsts in zip(self.streams, self.first, strict=True)
            for name, first in firsts.items()
            if (name, stream.name) in measured
            and apart(float((first >= 0).mean()), len(first), *measured[name, stream.name])
        ]

    def ours(self) -> float:
        """Our worst rate of any false page."""
        stable = [firsts[OURS] for stream, firsts in zip(self.streams, self.first, strict=True) if not stream.start]
        return max(float((first >= 0).mean()) for first in stable)


def side_by_side(runs: int, rng: Generator) -> Side:
    streams = stable(rng, runs) + changing(runs)
    counts = [errors(rng, stream.accuracy) for stream in streams]
    found = [by_rule(stream, x) for stream, x in zip(streams, counts, strict=True)]
    if runs < PACKAGES or not sources.there():
        return Side(streams, found, 0, {})
    theirs, versions = by_packages(streams, counts, rng)
    both = list(zip(theirs, found, strict=True))
    differ = sum(
        int((package[name] != rule[name][: len(package[name])]).sum()) for package, rule in both for name in COPIES
    )
    return Side(streams, [package | rule for package, rule in both], differ, versions)


def v26(runs: int, rng: Generator) -> Result:
    """The figure counts monitors of the peers whose rate is not the one first measured; ours must keep its promise."""
    side = side_by_side(runs, rng)
    off, worst, limit = side.off(), side.ours(), most(0.05, runs)
    packages = ", ".join(f"{name} {number}" for name, number in side.versions.items())
    said = "the rules alone: the peers' environment is not there (./dev validate --peers)"
    if packages:
        said = f"packages: {packages}; {side.differ} streams on which a package and its line of numpy disagree"
    detail = f"{said}; ours false in at most {worst:.4f} (≤ {limit:.4f})" + (f"; off: {'; '.join(off)}" if off else "")
    held = not off and not side.differ and worst <= limit
    return Result(float(len(off)), "= 0", held, detail, side.table())


def v26_broken(runs: int, rng: Generator) -> Result:
    """The widened rule: six sd."""
    x = errors(rng, np.full((REFERENCE + LOOKS, runs), 0.95))
    found = float((three_sigma(x[:REFERENCE], x[REFERENCE:], width=6.0) >= 0).mean())
    wrong = apart(found, runs, *MEASURED["NannyML ± 3 sd"][0][1:])
    return Result(float(wrong), "= 0", not wrong, f"pages falsely in {found:.3f} instead of .59")


register(
    Check("V26", "rates of the peers' monitors that differ from the first study's", v26, 500, 20, v26_broken, "6 sd")
)
