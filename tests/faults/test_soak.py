"""Hours of ordinary traffic: nothing that a product holds grows with them (G10)."""

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults import growth
from tests.faults.footprint import Footprint, watched
from tests.faults.growth import Bounds
from tests.faults.steady import KINDS, steady
from tests.support.counts import Counts
from tests.support.served import ServedProduct

# Of the time: pools and caches fill, the allocator finds its size. That takes some minutes, so the memory of a soak of
# less than a quarter of an hour is red.
WARM_UP = 1 / 6
EVERY_S = 5.0
FLAT = Bounds(memory_mib_per_hour=1.0, more=1.0)
SHORT_S, SHORT_EVERY_S = 5.0, 0.125
# A young server still finds its size, 19 MiB at once for each thread that checks its first password; what runs away is
# seen all the same.
SHORT = Bounds(memory_mib_per_hour=8.0 * 3600, more=8.0)


async def soak(product: ServedProduct, draw: Random, counts: Counts, seconds: float, every_s: float) -> list[Footprint]:
    """Footprints after the warm-up; counts what was answered."""
    async with steady(product, draw) as traffic:
        await watched(product, seconds * WARM_UP, every_s)
        footprints = await watched(product, seconds * (1 - WARM_UP), every_s)
    counts.note("answers", f"{traffic.answers.total()} in {seconds:g} s, {dict(traffic.answers)}")
    counts.none("other answers than expected", list(traffic.others.elements()), traffic.answers.total())
    counts.none("kinds that were never answered", set(KINDS) - set(traffic.answers))
    counts.note("footprints", len(footprints))
    return footprints


class Leaking(ServedProduct):
    """With a leak of everything that is watched; and it closes no connection on which nothing comes."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(folder, ASSAY_DATABASE__URL=database_url, ASSAY_HTTP__HEAD_TIMEOUT_S="60")
        self._command = [sys.executable, "-m", "tests.faults.leaking", "serve"]
        self._database_url = database_url

    @property
    def database_url(self) -> str:
        return self._database_url


@pytest.fixture
def leaking(product: ServedProduct, folder: Path) -> Iterator[Leaking]:
    served = Leaking(folder, product.database_url)
    served.start()
    try:
        served.wait_until_ready()
        yield served
    finally:
        served.kill()


@pytest.fixture
def with_a_worker(folder: Path) -> Iterator[ServedProduct]:
    """As it is run: its own database, and a worker for jobs beside.

    The worker tells ten times as often that it is alive: one that does little takes more than an hour to find its size,
    which a soak would take for a leak; so the hour is ten of its life, and what leaks in it leaks ten times as fast.
    """
    served = ServedProduct(folder, ASSAY_JOBS__WORKER="true", ASSAY_JOBS__HEARTBEAT_S="1")
    served.start()
    try:
        served.wait_until_ready()
        yield served
    finally:
        served.stop()


@pytest.mark.fault("G10")
class TestSoak:
    @pytest.mark.smoke
    async def test_nothing_runs_away(self, product: ServedProduct, draw: Random, counts: Counts) -> None:
        growth.count(counts, await soak(product, draw, counts, SHORT_S, SHORT_EVERY_S), SHORT)
        counts.judge()

    @pytest.mark.smoke
    async def test_finds_each_leak_of_a_product_that_has_them(
        self, leaking: Leaking, draw: Random, counts: Counts
    ) -> None:
        growth.count(counts, await soak(leaking, draw, counts, SHORT_S, SHORT_EVERY_S), SHORT)
        red = [text for text, good in counts.figures if not good]
        print(counts)
        for what in ("memory", "descriptors", "connections", "database connections"):
            assert any(text.startswith(f"{what} grow") for text in red), what

    @pytest.mark.long
    @pytest.mark.soak
    async def test_memory_files_and_connections_are_flat(
        self, with_a_worker: ServedProduct, draw: Random, counts: Counts, soak_s: float
    ) -> None:
        growth.count(counts, await soak(with_a_worker, draw, counts, soak_s, EVERY_S), FLAT)
        counts.judge()
