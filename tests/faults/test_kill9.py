"""kill -9 of the database and of the server under load: acknowledged means present exactly once, nothing by halves."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults import ledger
from tests.faults.kills import Killing, planned
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
        plan = planned(draw, database=database_kills, server=server_kills)
        product = ServedProduct(folder)
        product.start()
        killing = Killing(product)
        try:
            product.wait_until_ready()
            async with ledger.writing(product, "survivor", draw) as written:
                for kill in plan:
                    await asyncio.sleep(0.1 + 0.5 * kill.at)
                    killing.strike(kill)
                    await killing.mend()
                await asyncio.sleep(0.5)
            await ledger.count(counts, product, written)
        finally:
            ended = product.stop()
        killing.count(counts, plan, [kill.victim for kill in plan])
        if database_kills >= 100:
            counts.at_most("ready again at the latest", max(killing.recoveries), READY_S, " s")
        counts.none("end out of order", ended)
        counts.judge()
