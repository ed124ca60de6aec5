"""A day's traffic at an even pace: what people and programs send that mean well, and what they send that is refused."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random

import httpx

from tests.faults.ledger import set_up
from tests.support.served import EMAIL, PASSWORD, ServedProduct
from tests.support.wire import request

MODELS = 3
BATCH = 20  # rows of a body
KEEPALIVE_S = 2.0  # less than the server keeps one: a request on its way to a closed connection nobody can answer
PATIENCE_S = 30.0
# A server remembers ten thousand tokens that it has verified: with a fresh one for every log-in that memory would fill
# all the time, and a soak would take its filling for a leak.
FRESH_TOKEN = 0.02
BURST = 8  # log-ins at once, before all else: a password takes 19 MiB, which the threads that check it keep
TOO_MUCH = b" " * (2 << 20)  # of an ordinary body; a limit of one MiB


class Traffic:
    """What was answered, by kind."""

    def __init__(self, product: ServedProduct, client: httpx.AsyncClient, draw: Random) -> None:
        self._port = product.port
        self.models = [f"soaked-{product.port}-{number}" for number in range(MODELS)]
        self._client = client
        self._draw = draw
        self._sent: list[tuple[str, str]] = []  # a model and a batch that is neither labelled nor purged
        self._batches = 0
        self.answers: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.done = asyncio.Event()

    async def run(self, kind: str, per_s: float, expected: set[int]) -> None:
        """One after the other; a time to think that is drawn between them."""
        send: Callable[[], Awaitable[int]] = getattr(self, f"_{kind}")
        while not self.done.is_set():
            status = await self._status(send)
            self.answers[kind] += 1
            if status not in expected:
                self.others[f"{kind}: {status}"] += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self.done.wait(), self._draw.expovariate(per_s))

    async def _status(self, send: Callable[[], Awaitable[int]]) -> int:
        try:
            return await send()
        except (httpx.TransportError, OSError):
            return 0

    async def begin(self) -> None:
        """With models, and as one who may do everything."""
        answers = await asyncio.gather(*(self._asked_token(PASSWORD) for _ in range(BURST)))
        self._take(answers[0])
        for model in self.models:
            await set_up(self._client, model)

    def _take(self, answer: httpx.Response) -> None:
        """It lives for an hour."""
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    async def _asked_token(self, password: str) -> httpx.Response:
        return await self._client.post("/auth/token", data={"username": EMAIL, "password": password})

    async def _ingest(self) -> int:
        self._batches += 1
        model, batch = self._model(), f"b{self._batches}"
        rows = [{"prediction_id": name, "score": self._draw.random(), "segment": {"half": "a"}} for name in _ids(batch)]
        answer = await self._client.post(f"/models/{model}/predictions", json={"predictions": rows})
        self._sent.append((model, batch))
        return answer.status_code

    async def _labels(self) -> int:
        model, batch = await self._batch()
        rows = [{"prediction_id": name, "actual": self._draw.choice("01")} for name in _ids(batch)]
        return (await self._client.post(f"/models/{model}/labels", json={"labels": rows})).status_code

    async def _purge(self) -> int:
        """A job for the worker."""
        model, batch = await self._batch()
        answer = await self._client.post(f"/models/{model}/purge", json={"prediction_ids": _ids(batch)})
        return answer.status_code

    async def _batch(self) -> tuple[str, str]:
        """Of those that are neither labelled nor purged."""
        if not self._sent:
            await self._ingest()
        return self._sent.pop(self._draw.randrange(len(self._sent)))

    async def _trends(self) -> int:
        asked = {"metric": self._draw.choice(("accuracy", "roc_auc", "f1")), "interval": "hour"}
        return (await self._client.get(f"/analytics/trends/{self._model()}", params=asked)).status_code

    async def _status_of_a_model(self) -> int:
        return (await self._client.get(f"/models/{self._model()}/lifecycle/status")).status_code

    async def _dashboard(self) -> int:
        return (await self._client.get("/analytics/dashboard/data", params={"model": self._model()})).status_code

    async def _log_in(self) -> int:
        answer = await self._asked_token(PASSWORD)
        if answer.status_code == 200 and self._draw.random() < FRESH_TOKEN:
            self._take(answer)
        return answer.status_code

    async def _wrong_password(self) -> int:
        return (await self._asked_token("not-the-password-of-it")).status_code

    async def _wrong_rows(self) -> int:
        rows = [{"prediction_id": "x", "score": "high"}]
        return (await self._client.post(f"/models/{self._model()}/predictions", json={"predictions": rows})).status_code

    async def _no_json(self) -> int:
        return (await self._client.post(f"/models/{self._model()}/labels", content=b'{"labels": [')).status_code

    async def _too_much(self) -> int:
        """Answered before all of it was sent."""
        return (await self._client.post("/users", content=TOO_MUCH)).status_code

    async def _unread_body(self) -> int:
        """Answered before any of it was sent; then nothing comes, and the client goes away."""
        return await self._raw([(b"content-length", b"4")], b"body")

    async def _half_a_body(self) -> int:
        """The client goes away in the middle."""
        return await self._raw([(b"content-length", b"100000")], b"half")

    async def _raw(self, length: list[tuple[bytes, bytes]], body: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request("GET", "/api/v1/system/health/live", [(b"host", b"127.0.0.1"), *length]))
            status = int((await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])
            writer.write(body)
            await writer.drain()
            return status
        finally:
            writer.close()

    def _model(self) -> str:
        return self._draw.choice(self.models)


# Of each kind: how many a second at most, and what it may be answered.
KINDS: dict[str, tuple[float, set[int]]] = {
    "ingest": (10.0, {201}),
    "labels": (10.0, {201}),
    "purge": (0.1, {202}),
    "trends": (5.0, {200}),
    "status_of_a_model": (5.0, {200}),
    "dashboard": (1.0, {200}),
    "log_in": (0.5, {200}),
    "wrong_password": (0.2, {401}),
    "wrong_rows": (1.0, {422}),
    "no_json": (1.0, {400, 422}),
    "too_much": (0.5, {413}),
    "unread_body": (1.0, {200}),
    "half_a_body": (1.0, {200}),
}


@asynccontextmanager
async def steady(product: ServedProduct, draw: Random) -> AsyncIterator[Traffic]:
    """All kinds, until the block ends."""
    limits = httpx.Limits(keepalive_expiry=KEEPALIVE_S)
    async with httpx.AsyncClient(base_url=f"{product.url}/api/v1", timeout=PATIENCE_S, limits=limits) as client:
        traffic = Traffic(product, client, draw)
        await traffic.begin()
        async with asyncio.TaskGroup() as group:
            for kind, (per_s, expected) in KINDS.items():
                group.create_task(traffic.run(kind, per_s, expected))
            try:
                yield traffic
            finally:
                traffic.done.set()


def _ids(batch: str) -> list[str]:
    return [f"{batch}-{row}" for row in range(BATCH)]
