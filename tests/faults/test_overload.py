"""The same thing many times at once, and more than there is capacity for."""

import asyncio
import time
from collections import Counter
from random import Random

import httpx
import pytest

from tests.faults import ledger
from tests.support.counts import Counts, forms
from tests.support.served import ServedProduct
from tests.support.wire import Header, request

PARALLEL = 50
CAPACITY = 8  # connections that keep one process busy
SLOWEST_S = 10.0


@pytest.mark.fault("F18", "G8")
class TestDuplicates:
    @forms(smoke=(2, 10), long=(100, 100))
    async def test_fifty_at_once_of_each_key_are_one_row(
        self, product: ServedProduct, draw: Random, counts: Counts, size: tuple[int, int]
    ) -> None:
        rounds, keys = size
        model, outcomes = "doubled", Counter[str]()
        async with ledger.client_of(product) as client:
            await ledger.set_up(client, model)
            for number in range(rounds):
                names = [f"{model}-b{number * keys + key:06d}-00" for key in range(keys)]
                predictions = [{"prediction_id": name, "score": draw.random()} for name in names]
                labels = [{"prediction_id": name, "actual": "1"} for name in names]
                for what, rows in (("predictions", predictions), ("labels", labels)):
                    sent = [client.post(f"/models/{model}/{what}", json={what: rows}) for _ in range(PARALLEL)]
                    for answer in await asyncio.gather(*sent):
                        assert answer.status_code == 201, answer.text
                        body = answer.json()
                        outcomes[f"{what} accepted"] += body["accepted"]
                        outcomes[f"{what} duplicate"] += body["duplicates"]
                        outcomes["conflicts"] += len(body["conflicts"])
        total = rounds * keys
        found = await ledger.stored(product, model)
        counts.note("keys", f"{total}, each {PARALLEL} times at once")
        counts.none("accepted more or less than once", outcomes["predictions accepted"] - total, total)
        counts.none("labels accepted more or less than once", outcomes["labels accepted"] - total, total)
        counts.none("conflicts", outcomes["conflicts"])
        counts.none("rows more or less", found.present.total() - total, total)
        counts.none("labels more or less", found.labelled.total() - total, total)
        counts.judge()

    @forms(smoke=20, long=200)
    async def test_a_model_that_is_set_up_by_many_is_made_once(
        self, product: ServedProduct, counts: Counts, size: int
    ) -> None:
        async with ledger.client_of(product) as client:
            answers = await asyncio.gather(*(_set_up(client, "crowded") for _ in range(size)))
        counts.note("answers", dict(Counter(answers)))
        counts.none("made more than once", answers.count(201) - 1)
        counts.none("other answers than 201 and 200", set(answers) - {200, 201})
        counts.judge()


async def _set_up(client: httpx.AsyncClient, model: str) -> int:
    """As clients do: they wait for one another, and whoever waits longer than a second is to come again."""
    while True:
        body = {"model_info": {"model_id": model}}
        answer = await client.post(f"/models/{model}/tracking/setup", json=body)
        if answer.status_code != 503:
            return answer.status_code
        await asyncio.sleep(float(answer.headers["retry-after"]))


@pytest.mark.fault("G11", "F12")
class TestOverload:
    @forms(smoke=2.0, long=300.0)
    async def test_four_times_the_capacity_is_answered_or_refused_and_nobody_hangs(
        self, product: ServedProduct, counts: Counts, size: float
    ) -> None:
        async with ledger.client_of(product) as client:
            await ledger.set_up(client, "overloaded")
        head = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + product.token().encode())]
        peak = await load(product.port, head, CAPACITY, size, "a")
        heavy = await load(product.port, head, 4 * CAPACITY, size, "b")
        counts.note("at capacity", f"{peak.rate:.0f}/s")
        counts.none("other answers than 2xx, 429, 503", set(heavy.statuses) - {200, 201, 429, 503}, heavy.total)
        counts.at_most("slowest", heavy.slowest_s, SLOWEST_S, " s")
        if size >= 60:  # shorter, the machine's other work decides
            counts.at_least("goodput of what it was at capacity", heavy.rate / peak.rate, 0.9)
        else:
            counts.note("goodput of what it was at capacity", heavy.rate / peak.rate)
        counts.judge()


class Load:
    """What came of one load."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.slowest_s = 0.0
        self.rate = 0.0  # good answers a second

    @property
    def total(self) -> int:
        return self.statuses.total()


async def load(port: int, head: list[Header], connections: int, seconds: float, prefix: str) -> Load:
    """A closed loop: each connection sends a prediction, and asks for the model every tenth time."""
    made, ends = Load(), time.monotonic() + seconds
    await asyncio.gather(*(_client(port, head, f"{prefix}{number}", ends, made) for number in range(connections)))
    made.rate = (made.statuses[200] + made.statuses[201]) / seconds
    return made


async def _client(port: int, head: list[Header], name: str, ends: float, made: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while time.monotonic() < ends:
        number += 1
        body = b'{"predictions": [{"prediction_id": "%b-%d", "score": 0.5}]}' % (name.encode(), number)
        path = "/api/v1/models/overloaded"
        begun = time.monotonic()
        writer.write(request("POST", f"{path}/predictions", head, body) if number % 10 else request("GET", path, head))
        top = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in top.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        made.slowest_s = max(made.slowest_s, time.monotonic() - begun)
        made.statuses[int(top.split(b" ", 2)[1])] += 1
    writer.close()
