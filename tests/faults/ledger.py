"""What clients were told under load, and what is in the database afterwards: acknowledged is there exactly once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import httpx

from app.db.embedded import EmbeddedServer
from tests.support.counts import Counts
from tests.support.served import ServedProduct

BATCH = 40
WRITERS = 6
TRIES = 200  # a tenth of a second apart
ANSWERS = {201, 429, 503, 507}  # what a client may be told whose rows are well formed


@dataclass
class Ledger:
    """Of one model: batches acknowledged, and those whose fate the clients don't know."""

    model: str
    acknowledged: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    labelled: set[int] = field(default_factory=set)
    labels_unknown: set[int] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    next_batch: int = 0
    done: bool = False

    def ids(self, batch: int) -> list[str]:
        return [f"{self.model}-b{batch:06d}-{row:02d}" for row in range(BATCH)]


@dataclass
class Stored:
    """Raw rows, read past the product: ids, labelled ids, rows in blocks."""

    present: Counter[str]
    labelled: Counter[str]
    in_blocks: int


@asynccontextmanager
async def writing(
    product: ServedProduct, model: str, draw: random.Random, *, writers: int = WRITERS
) -> AsyncIterator[Ledger]:
    """Writers that send batches and their labels until the block ends."""
    ledger = Ledger(model)
    async with client_of(product) as client:
        await set_up(client, model)
        async with asyncio.TaskGroup() as group:
            for _ in range(writers):
                group.create_task(_write(client, ledger, random.Random(draw.random())))
            try:
                yield ledger
            finally:
                ledger.done = True


def client_of(product: ServedProduct) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {product.token()}"}
    return httpx.AsyncClient(base_url=f"{product.url}/api/v1", headers=headers, timeout=10)


async def set_up(client: httpx.AsyncClient, model: str) -> None:
    info = {"model_id": model, "model_type": "test", "training_data_hash": "0"}
    answer = await client.post(f"/models/{model}/tracking/setup", json={"model_info": info})
    assert answer.status_code == 201, answer.text


async def _write(client: httpx.AsyncClient, ledger: Ledger, draw: random.Random) -> None:
    """A batch of unknown fate is sent again or left, by chance."""
    while not ledger.done:
        batch = ledger.next_batch
        ledger.next_batch += 1
        ids = ledger.ids(batch)
        rows = [{"prediction_id": name, "score": draw.random(), "segment": {"half": "a"}} for name in ids]
        if not await _send(client, ledger, "predictions", {"predictions": rows}, draw):
            ledger.unknown.add(batch)
            continue
        ledger.acknowledged.add(batch)
        labels = [{"prediction_id": name, "actual": draw.choice("01")} for name in ids]
        if await _send(client, ledger, "labels", {"labels": labels}, draw):
            ledger.labelled.add(batch)
        else:
            ledger.labels_unknown.add(batch)


async def _send(
    client: httpx.AsyncClient, ledger: Ledger, what: str, body: dict[str, object], draw: random.Random
) -> bool:
    for _ in range(TRIES):
        try:
            answer = await client.post(f"/models/{ledger.model}/{what}", json=body)
        except httpx.TransportError:
            answer = None
        ledger.statuses[answer.status_code if answer is not None else 0] += 1
        if answer is not None and answer.status_code == 201:
            result = answer.json()
            assert not result["conflicts"]
            assert result["accepted"] + result["duplicates"] == BATCH
            return True
        if draw.random() < 0.3:
            return False
        await asyncio.sleep(0.1)
    raise AssertionError("the product did not come back")


async def connected(product: ServedProduct, patience_s: float = 10.0) -> asyncpg.Connection:
    """The last fault may have been the database's, which takes a moment to come back."""
    ends = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            return await asyncpg.connect(EmbeddedServer(product.data).url)
        except (OSError, asyncpg.CannotConnectNowError):
            if asyncio.get_running_loop().time() > ends:
                raise
            await asyncio.sleep(0.1)


async def stored(product: ServedProduct, model: str) -> Stored:
    connection = await connected(product)
    number = await connection.fetchval("select id from model where model_id = $1", model)
    start = model.encode() + b"-b"
    keys = [bytes(row["key"])[5:] for row in await connection.fetch("select key from prediction where place >= 0")]
    labelled = [
        bytes(row["key"])[5:]
        for row in await connection.fetch("select p.key from label l join prediction p using (place)")
    ]
    blocks = await connection.fetchval("select coalesce(sum(n), 0) from block where model_no = $1", number)
    await connection.close()
    return Stored(
        Counter(key.decode() for key in keys if key.startswith(start)),
        Counter(key.decode() for key in labelled if key.startswith(start)),
        int(blocks),
    )


async def count(counts: Counts, product: ServedProduct, ledger: Ledger) -> None:
    """Nothing acknowledged is lost or there twice, nothing is there by half, and the product counts the same."""
    found = await stored(product, ledger.model)
    async with client_of(product) as client:
        answer = await client.get(
            f"/analytics/trends/{ledger.model}", params={"metric": "accuracy", "interval": "hour"}
        )
    overall = answer.json()["overall"]
    told, told_labels = len(ledger.acknowledged) * BATCH, len(ledger.labelled) * BATCH
    counts.none("predictions lost", _missing(ledger, ledger.acknowledged, found.present), told)
    counts.none("labels lost", _missing(ledger, ledger.labelled, found.labelled), told_labels)
    counts.none("doubled", sum(number > 1 for number in (*found.present.values(), *found.labelled.values())))
    counts.none("half batches", _halves(ledger, ledger.unknown, found.present), len(ledger.unknown))
    counts.none("half batches of labels", _halves(ledger, ledger.labels_unknown, found.labelled))
    counts.none("rows out of step with their blocks", found.in_blocks - len(found.present))
    counts.none("predictions that the trend does not know", len(found.present) - overall["n"])
    counts.none("labels that the trend does not know", len(found.labelled) - overall["labelled"])
    counts.none("other answers than 2xx, 429, 503, 507", set(ledger.statuses) - ANSWERS - {0})


def _missing(ledger: Ledger, batches: set[int], present: Counter[str]) -> int:
    return sum(name not in present for batch in batches for name in ledger.ids(batch))


def _halves(ledger: Ledger, batches: set[int], present: Counter[str]) -> int:
    return sum(0 < sum(name in present for name in ledger.ids(batch)) < BATCH for batch in batches)
