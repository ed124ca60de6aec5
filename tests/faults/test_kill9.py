"""kill -9 of the database and of the server under load: acknowledged means present exactly once, nothing by halves."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.db.embedded import EmbeddedServer
from tests.support.served import ServedProduct

BATCH = 40
WRITERS = 6
MODEL = "survivor"


@dataclass
class Notes:
    """What the clients saw: batches acknowledged, and those whose fate they don't know."""

    acknowledged: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    labelled: set[int] = field(default_factory=set)
    labels_unknown: set[int] = field(default_factory=set)
    next_batch: int = 0
    done: bool = False


def ids(batch: int) -> list[str]:
    return [f"b{batch:06d}-{row:02d}" for row in range(BATCH)]


class TestKill9:
    @pytest.mark.parametrize(
        ("database_kills", "server_kills"),
        [(4, 2), pytest.param(100, 50, marks=pytest.mark.long)],
        ids=["smoke", "long"],
    )
    async def test_acknowledged_means_present_exactly_once(
        self, folder: Path, database_kills: int, server_kills: int
    ) -> None:
        seed = random.randrange(2**32)
        draw = random.Random(seed)
        product = ServedProduct(folder)
        product.start()
        try:
            notes, counted, recoveries = await endure(product, draw, database_kills, server_kills)
            found = await stored(product)
        finally:
            ended = product.stop()
        assert ended == 0
        report(seed, notes, found, counted, recoveries)


async def endure(
    product: ServedProduct, draw: random.Random, database_kills: int, server_kills: int
) -> tuple[Notes, dict[str, int], list[float]]:
    """Kills under load: what the clients saw, what the product counts in the end, seconds until ready after each."""
    product.wait_until_ready()
    notes, recoveries = Notes(), []
    headers = {"Authorization": f"Bearer {product.token()}"}
    async with httpx.AsyncClient(base_url=f"{product.url}/api/v1", headers=headers, timeout=10) as client:
        await set_up(client)
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(write(client, notes, random.Random(draw.random())))
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
            notes.done = True
        return notes, await totals(client), recoveries


async def set_up(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        f"/models/{MODEL}/tracking/setup",
        json={
            "model_info": {"model_id": MODEL, "model_type": "test", "training_data_hash": "0"},
            "dataset_config": {},
            "monitoring_config": {},
        },
    )
    assert answer.status_code == 201, answer.text


async def write(client: httpx.AsyncClient, notes: Notes, draw: random.Random) -> None:
    """Sends batches of predictions, then their labels; a batch of unknown fate is sent again or left, by chance."""
    while not notes.done:
        batch = notes.next_batch
        notes.next_batch += 1
        rows = [{"prediction_id": name, "score": draw.random(), "segment": {"half": "a"}} for name in ids(batch)]
        if not await send(client, "predictions", {"predictions": rows}, draw):
            notes.unknown.add(batch)
            continue
        notes.acknowledged.add(batch)
        labels = [{"prediction_id": name, "actual": draw.choice("01")} for name in ids(batch)]
        if await send(client, "labels", {"labels": labels}, draw):
            notes.labelled.add(batch)
        else:
            notes.labels_unknown.add(batch)


async def send(client: httpx.AsyncClient, what: str, body: dict[str, object], draw: random.Random) -> bool:
    for _ in range(200):
        try:
            answer = await client.post(f"/models/{MODEL}/{what}", json=body)
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code == 201:
            result = answer.json()
            assert not result["conflicts"]
            assert result["accepted"] + result["duplicates"] == BATCH
            return True
        assert answer is None or answer.status_code == 503, answer.text
        if draw.random() < 0.3:
            return False
        await asyncio.sleep(0.1)
    raise AssertionError("the product did not come back")


async def totals(client: httpx.AsyncClient) -> dict[str, int]:
    answer = await client.get(f"/analytics/trends/{MODEL}", params={"metric": "accuracy", "interval": "hour"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["overall"])


async def stored(product: ServedProduct) -> dict[str, object]:
    """Raw rows, read past the product: ids, labelled ids, rows in blocks."""
    attached = EmbeddedServer(product.data)
    connection = await asyncpg.connect(attached.url)
    keys = [
        bytes(row["key"])[5:].decode() for row in await connection.fetch("select key from prediction where place >= 0")
    ]
    labelled = [
        bytes(row["key"])[5:].decode()
        for row in await connection.fetch("select p.key from label l join prediction p using (place)")
    ]
    blocks = await connection.fetchval("select coalesce(sum(n), 0) from block")
    await connection.close()
    return {"ids": Counter(keys), "labelled": Counter(labelled), "in_blocks": blocks}


def report(seed: int, notes: Notes, found: dict[str, object], counted: dict[str, int], recoveries: list[float]) -> None:
    """Counts, printed before they are judged."""
    present, labelled = found["ids"], found["labelled"]
    assert isinstance(present, Counter)
    assert isinstance(labelled, Counter)
    lost = sum(name not in present for batch in notes.acknowledged for name in ids(batch))
    lost_labels = sum(name not in labelled for batch in notes.labelled for name in ids(batch))
    doubled = sum(count > 1 for count in (*present.values(), *labelled.values()))
    halves = sum(0 < sum(name in present for name in ids(batch)) < BATCH for batch in notes.unknown)
    half_labels = sum(0 < sum(name in labelled for name in ids(batch)) < BATCH for batch in notes.labels_unknown)
    print(
        f"seed {seed}: kills {len(recoveries)}, acknowledged {len(notes.acknowledged) * BATCH} predictions and "
        f"{len(notes.labelled) * BATCH} labels; lost {lost} + {lost_labels}, doubled {doubled}, "
        f"half batches {halves} + {half_labels}; ready again after at most {max(recoveries):.2f} s"
    )
    assert (lost, lost_labels, doubled, halves, half_labels) == (0, 0, 0, 0, 0)
    assert found["in_blocks"] == len(present)
    assert (counted["n"], counted["labelled"]) == (len(present), len(labelled))
