"""kill -9 of the database and of the server under load: acknowledged means present exactly once, nothing by halves."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults import ledger
from tests.support.counts import Counts, forms
from tests.support.served import ServedProduct

READY_S = 5.0  # the target; a machine busy with other things takes longer, so the short form only notes it


@pytest.mark.fault("F1", "G1", "G2")
class TestKill9:
    @forms(smoke=(4, 2), long=(100, 50))
    async def test_acknowledged_means_present_exactly_once(
        self, folder: Path, draw: random.Random, counts: Counts, size: tuple[int, int]
    ) -> None:
        database_kills, server_kills = size
        product = ServedProduct(folder)
        product.start()
        try:
            product.wait_until_ready()
            recoveries = []
            async with ledger.writing(product, "survivor", draw) as written:
                faults = ["database"] * database_kills + ["server"] * server_kills
                draw.shuffle(faults)
                for fault in faults:
                    await asyncio.sleep(draw.uniform(0.1, 0.6))
                    if fault == "database":
                        product.kill_database()
                    else:
                        product.kill()
                        product.start()
                    recoveries.append(await asyncio.to_thread(product.wait_until_ready))
                await asyncio.sleep(0.5)
            await ledger.count(counts, product, written)
        finally:
            ended = product.stop()
        counts.note("kills", len(recoveries))
        counts.note(
            "ready again after", f"{sorted(recoveries)[len(recoveries) // 2]:.2f} s, at most {max(recoveries):.2f} s"
        )
        if database_kills >= 100:
            counts.at_most("ready again at the latest", max(recoveries), READY_S, " s")
        counts.none("end out of order", ended)
        counts.judge()
