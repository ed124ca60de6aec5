"""Metrics of several processes in one folder: each writes its own files, and whoever is asked adds them up.

A process holds a number for as long as it lives, by a lock that the kernel gives back however it ends. Who comes after
takes the number over with its counters: totals never go back, and a worker that dies again and again leaves no heap of
files behind.
"""

import fcntl
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample


def claim(folder: Path) -> str:
    """The lowest number that nobody holds, held until this process ends; gauges of who had it before are gone."""
    number = _claimed(folder)
    mark_process_dead(number, folder)  # type: ignore[no-untyped-call]
    return number


def registry(folder: Path) -> CollectorRegistry:
    """What all processes counted, dead ones too, and the gauges of those that live."""
    for number in {_number(file) for file in folder.glob("gauge_live*.db")}:
        with _if_free(folder, number) as dead:
            if dead:
                mark_process_dead(number, folder)  # type: ignore[no-untyped-call]
    collected = CollectorRegistry()
    MultiProcessCollector(collected, folder)  # type: ignore[no-untyped-call]
    return collected


class Together(Collector):
    """What one process holds in memory and others count into folders.

    Counts add up; a gauge is the process's own where it has it.
    """

    def __init__(self, own: CollectorRegistry, folders: Sequence[Path]) -> None:
        self._own = own
        self._folders = folders

    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        for metrics in (self._own, *map(registry, self._folders)):
            for metric in metrics.collect():
                first = found.setdefault(metric.name, metric)
                if first is not metric:
                    _add(first, metric)
        yield from found.values()


def _add(to: Metric, other: Metric) -> None:
    samples = {_series(sample): sample for sample in to.samples}
    for sample in other.samples:
        first = samples.setdefault(_series(sample), sample)
        if first is not sample and to.type != "gauge":
            samples[_series(sample)] = first._replace(value=first.value + sample.value)
    to.samples = list(samples.values())


def _series(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())


def own_folder(among: Path) -> Path:
    """An empty folder that is this process's until it ends: its children count there, and nobody else's.

    Numbered like processes: their ids come again in containers, and a port may be handed from one server to the next.
    """
    folder = among / _claimed(among)
    empty(folder)
    return folder


def empty(folder: Path) -> None:
    """Removes what ended processes left: a new run counts from nothing. Called before any worker starts."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        with _if_free(folder, _number(file)) as dead:
            if dead:
                file.unlink(missing_ok=True)


def _claimed(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for number in map(str, itertools.count()):
        if _lock(folder, number) is not None:  # it stays open on purpose
            return number
    raise AssertionError("unreachable: numbers don't end")


def _number(file: Path) -> str:
    """`gauge_livesum_3.db` → `3`."""
    return file.stem.rsplit("_", 1)[1]


@contextmanager
def _if_free(folder: Path, number: str) -> Iterator[bool]:
    """Whether no living process holds the number; inside, nobody can take it."""
    descriptor = _lock(folder, number)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(folder: Path, number: str) -> int | None:
    descriptor = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
