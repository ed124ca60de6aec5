"""kill -9 under a load of changes: the audit and what was done stand or fall together; the chain tells of meddling."""

import asyncio
import itertools
import random
import sys
import time
from dataclasses import dataclass

import asyncpg
import pytest

from app.audit.service import AuditChain, sealing_keys
from app.core.clock import SECOND, FrozenClock
from app.core.settings import DatabaseSettings, Settings
from app.db.engine import Database
from tests.faults import changes, ledger, lives
from tests.faults.kills import Kill, Killing, planned
from tests.house.test_audit import MUTATING
from tests.support.counts import Counts, forms
from tests.support.served import ServedProduct

WRITERS = 4
HOUR_US = 3600 * SECOND
REMOVED = "delete from audit where id = {}"
CHANGED = "update audit set actor = 'somebody' where id = {}"
PUT_BACK = "insert into audit select * from aside where id = {}"


@dataclass(frozen=True)
class Size:
    database: int
    server: int
    both: int
    meddled: int  # rows that are removed or changed on purpose, in turn


def plan_of(draw: random.Random, size: Size) -> list[Kill]:
    return planned(draw, database=size.database, server=size.server, both=size.both)


SMOKE = Size(database=1, server=1, both=0, meddled=1)
LONG = Size(database=40, server=20, both=10, meddled=6)


@pytest.mark.fault("G19", "G1")
class TestAuditUnderKills:
    @forms(smoke=SMOKE, long=LONG)
    async def test_has_one_row_for_what_was_done_and_none_for_what_was_not(
        self, product: ServedProduct, draw: random.Random, counts: Counts, size: Size
    ) -> None:
        plan, killing = plan_of(draw, size), Killing(product)
        kinds = (lives.person, lives.key, lives.model)
        async with changes.changing(product, f"audited-{counts.seed}", kinds, draw, writers=WRITERS) as log:
            for kill in plan:
                await asyncio.sleep(0.3 + kill.at)
                killing.strike(kill)
                await killing.mend()
            await asyncio.sleep(0.5)
        killing.count(counts, plan, [kill.victim for kill in plan])
        counts.none("operations left out", MUTATING - {change.operation for change in log.changes}, len(MUTATING))
        await changes.count(counts, product, log)
        await meddle(counts, product, draw, size.meddled)
        counts.judge()


async def meddle(counts: Counts, product: ServedProduct, draw: random.Random, times: int) -> None:
    """Closes all hours; then rows are removed or changed, and put back, one at a time."""
    chain, database = await chain_of(product)
    assert await chain.close_hours() > 0
    counts.holds("`assay audit verify` passes", is_so=await verified(product))
    connection = await ledger.connected(product)
    numbers = [row["id"] for row in await connection.fetch("select id from audit order by id")]
    await connection.execute("create table aside as select * from audit")
    unseen = []
    for number, statement in zip(draw.sample(numbers, times), itertools.cycle((REMOVED, CHANGED)), strict=False):
        await meddled(connection, statement.format(number))
        if await verified(product):
            unseen.append(statement.format(number))
        await meddled(connection, REMOVED.format(number), PUT_BACK.format(number))
    await connection.execute("drop table aside")
    await connection.close()
    counts.none("rows removed or changed on purpose and not found", unseen, times)
    counts.none("findings when all is put back", (await chain.verify()).findings, len(numbers))
    await database.close()


async def meddled(connection: asyncpg.Connection, *statements: str) -> None:
    """As somebody who owns the table can."""
    async with connection.transaction():
        await connection.execute("alter table audit disable trigger user")
        for statement in statements:
            await connection.execute(statement)
        for trigger in ("kept", "numbered"):
            await connection.execute(f"alter table audit enable always trigger {trigger}")


async def chain_of(product: ServedProduct) -> tuple[AuditChain, Database]:
    """With a clock that is an hour ahead, so that the hour that goes on can be closed."""
    database = Database(product.database_url, DatabaseSettings())
    await database.open()
    keys = sealing_keys(Settings(_env_file=None, data_dir=product.data))
    return AuditChain(database, FrozenClock(time.time_ns() // 1000 + HOUR_US), keys), database


async def verified(product: ServedProduct) -> bool:
    """How the command ends: 0, or 1 with what it found."""
    command = [sys.executable, "-m", "app.cli", "audit", "verify"]
    process = await asyncio.create_subprocess_exec(
        *command, env=product.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode in {0, 1}, said.decode()
    assert process.returncode == 0 or "as they were closed" in said.decode(), said.decode()
    return process.returncode == 0
