"""kill -9 between the rotation of refresh tokens and its answer: one token of a family lives, or none (G14, T6)."""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import pytest

from app.auth.service import GRACE
from tests.faults import ledger
from tests.faults.kills import Kill, Killing, Victim, planned
from tests.faults.rotating import Holder, Pair, Seen, Tally, Use
from tests.support.counts import Counts, forms
from tests.support.served import ServedProduct

SENT_S = 0.01  # a kill before the first answer comes so long after the requests


@dataclass(frozen=True)
class Size:
    database: int
    server: int
    both: int
    pairs: int  # of each kill
    late: int  # every so many rounds nobody tries again before the grace is over; 0: never


@dataclass(frozen=True)
class Round:
    kill: Kill
    pairs: tuple[Pair, ...]
    late: bool


def rounds(draw: random.Random, size: Size) -> list[Round]:
    """All of it, before anything runs."""
    kills = planned(draw, database=size.database, server=size.server, both=size.both)
    return [
        Round(
            kill,
            tuple(Pair.drawn(draw) for _ in range(size.pairs)),
            size.late > 0 and number % size.late == size.late - 1,
        )
        for number, kill in enumerate(kills)
    ]


def victims(plan: Sequence[Round]) -> list[Victim]:
    return [this.kill.victim for this in plan]


SMOKE = Size(database=1, server=1, both=0, pairs=10, late=0)
LONG = Size(database=45, server=35, both=20, pairs=20, late=25)


@pytest.mark.fault("G14", "T6")
class TestKilledBetweenRotationAndAnswer:
    @forms(smoke=SMOKE, long=LONG)
    async def test_one_token_of_a_family_lives_or_none(
        self, product: ServedProduct, draw: random.Random, counts: Counts, size: Size
    ) -> None:
        plan, killing, tally = rounds(draw, size), Killing(product), Tally()
        async with httpx.AsyncClient(base_url=f"{product.url}/api/v1", timeout=30) as client:
            holders = [Holder(client, tally) for _ in range(size.pairs)]
            for holder in holders:
                await holder.log_in()
            for this in plan:
                first = await under(this, killing, holders)
                await killing.mend()
                if this.late:
                    await asyncio.sleep(GRACE.total_seconds() + 0.5)
                seen = await looked_up(product, [holder.token for holder in holders])
                await asyncio.gather(
                    *(holder.second(*of) for holder, *of in zip(holders, this.pairs, first, seen, strict=True))
                )
        killing.count(counts, plan, victims(plan))
        tally.count(counts)
        counts.none("families with two living tokens", await twice_alive(product), tally.log_ins)
        counts.judge()


async def under(this: Round, killing: Killing, holders: Sequence[Holder]) -> list[list[Use]]:
    """The first uses of a round, by pair; the kill comes after its part of the answers."""
    uses = [
        holder.use(holder.token)
        for holder, pair in zip(holders, this.pairs, strict=True)
        for _ in range(1 + pair.twice)
    ]
    falls = int(this.kill.at * len(uses))
    answered = 0

    async def counted(use: Coroutine[Any, Any, Use]) -> Use:
        nonlocal answered
        done = await use
        answered += 1
        if answered == falls:
            killing.strike(this.kill)
        return done

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(counted(use)) for use in uses]
        if falls == 0:
            await asyncio.sleep(SENT_S)
            killing.strike(this.kill)
    found = iter(tasks)
    return [[next(found).result() for _ in range(1 + pair.twice)] for pair in this.pairs]


async def looked_up(product: ServedProduct, tokens: Sequence[str]) -> list[Seen]:
    """Past the product."""
    digests = [sha256(token.encode()).digest() for token in tokens]
    connection = await ledger.connected(product)
    rows = await connection.fetch(
        "select digest, used_at, revoked_at from refresh_token join log_in on id = log_in_id where digest = any($1)",
        digests,
    )
    await connection.close()
    by_digest = {bytes(row["digest"]): Seen(row["used_at"], row["revoked_at"] is not None) for row in rows}
    return [by_digest[digest] for digest in digests]


async def twice_alive(product: ServedProduct) -> int:
    """Families with more than one token that nobody has used, whether they have ended or not."""
    connection = await ledger.connected(product)
    unused = "select from refresh_token where used_at is null group by log_in_id having count(*) > 1"
    found = await connection.fetchval(f"select count(*) from ({unused}) family")
    await connection.close()
    return int(found)
