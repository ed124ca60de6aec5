"""What one client may cost all others: memory, connections, time (G10, T12)."""

import asyncio
import select
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.cli.connection import UNREAD_S
from tests.hostile.cases import Caller
from tests.support.counts import Counts, forms
from tests.support.served import ServedProduct
from tests.support.wire import Header, Wire, request

MIB = 1 << 20
GROWTH_MIB = 32
CHUNK = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
JSON = (b"content-type", b"application/json")
ME = "/api/v1/auth/me"
DRIP_S = 0.1
ENDS_S = 20.0  # the served product waits 2 s for a head and 2.5 s for a body; the rest is for a busy machine
UNREAD_ENDS_S = 60.0  # an answer that nobody reads is given up after 30 s
ANSWERS = 60
UNREAD_MIB = 128  # while it is held: a quarter of a MiB each


def memory_mib(pid: int, line: str) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{line}:")[1].split()[0]) / 1024


def highest_growth_mib(pid: int, act: Callable[[], object]) -> float:
    """By how much the process's memory exceeded what it was before, at its highest."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the highest so far is forgotten
    before = memory_mib(pid, "VmRSS")
    act()
    return memory_mib(pid, "VmHWM") - before


class Flood:
    """A chunked body that goes on after it was refused, through as many connections as it takes."""

    def __init__(self, port: int, head: bytes) -> None:
        self._port = port
        self._head = head
        self.sent_mib = 0
        self.statuses: set[int] = set()
        self.slowest_s = 0.0

    def send(self, mib: int) -> None:
        while self.sent_mib < mib:
            with Wire(self._port) as wire, suppress(ConnectionError):
                wire.socket.sendall(self._head)
                self._push(wire, mib)

    def _push(self, wire: Wire, mib: int) -> None:
        begun, answered = time.monotonic(), False
        while self.sent_mib < mib:
            if not answered and select.select([wire.socket], [], [], 0)[0]:
                self.statuses.add(wire.answer().status)
                self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
                answered = True
            wire.socket.sendall(CHUNK)
            self.sent_mib += 1


@pytest.mark.fault("G10", "T12")
class TestBodiesWithoutEnd:
    @pytest.mark.parametrize("last", ["labels", "tracking/setup"], ids=["batch", "ordinary"])
    @forms(smoke=1 << 10, long=10 << 10)
    def test_cost_no_memory_and_are_refused_soon(
        self, product: ServedProduct, caller: Caller, counts: Counts, size: int, last: str
    ) -> None:
        path = f"/api/v1/models/{caller.filled['model_id']}/{last}"
        flood = Flood(
            product.port, request("POST", path, [*caller.headers(), JSON, (b"transfer-encoding", b"chunked")])
        )
        grown = highest_growth_mib(product.pid, lambda: flood.send(size))
        counts.note("sent", f"{flood.sent_mib} MiB")
        counts.at_most("memory at its highest", grown, GROWTH_MIB, " MiB more")
        counts.at_most("refused after at most", flood.slowest_s, 1.0, " s")
        counts.none("other answers than 413", flood.statuses - {413})
        counts.judge()

    def test_a_head_or_a_trailer_without_end_is_refused(
        self, product: ServedProduct, caller: Caller, counts: Counts
    ) -> None:
        post = [*caller.headers(), JSON, (b"transfer-encoding", b"chunked")]
        begun = {
            "head": request("GET", ME, caller.headers())[:-2],
            "trailer": request("POST", "/api/v1/users", post) + b"2\r\n{}\r\n0\r\n",
            "extension": request("POST", "/api/v1/users", post) + b"2;",
        }
        taken: dict[str, int] = {}

        def send() -> None:
            for name, head in begun.items():
                piece = b"x" * MIB if name == "extension" else b"XXX: yy\r\n" * (MIB // 9)
                taken[name] = taken_mib(product.port, head, piece)

        counts.at_most("memory at its highest", highest_growth_mib(product.pid, send), GROWTH_MIB, " MiB more")
        for name, mib in taken.items():
            counts.at_most(f"{name} taken before the end", mib, 16, " MiB")
        counts.judge()


def taken_mib(port: int, head: bytes, piece: bytes) -> int:
    """How many pieces of a MiB a connection takes until it is ended, of a hundred."""
    with Wire(port) as wire, suppress(ConnectionError):
        wire.socket.sendall(head)
        for number in range(100):
            wire.socket.sendall(piece)
            if select.select([wire.socket], [], [], 0)[0]:
                return number
        return 100
    return 0


Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Caller], Coroutine[Any, Any, None]]


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: Caller) -> None:
    """Connects and says nothing."""
    await reader.read()


async def head_by_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
    """Slowloris: one header after the other, never the last."""
    writer.write(request("GET", ME, caller.headers())[:-2])
    await _drip(reader, writer, b"X: y\r\n")


async def byte_by_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
    """R-U-Dead-Yet: a long body, a byte at a time."""
    sent = [*caller.headers(), JSON, (b"content-length", b"100000")]
    writer.write(request("POST", f"/api/v1/models/{caller.filled['model_id']}/predictions", sent))
    await _drip(reader, writer, b" ")


async def unheard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
    """Goes on sending a body that no operation reads."""
    writer.write(request("GET", ME, [*caller.headers(), (b"content-length", b"100000")]))
    await _drip(reader, writer, b" ")


async def belated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
    """Sends the body when the answer is there, and then nothing."""
    writer.write(request("GET", ME, [*caller.headers(), (b"content-length", b"100000")]))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b" " * 100_000)
    await reader.read()


async def blank(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Caller) -> None:
    """Sends a line break and then nothing."""
    writer.write(b"\r\n")
    await reader.read()


async def unreading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
    """Asks for more than the sockets hold and takes nothing of it for longer than a client may."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(request("GET", "/api/v1/openapi.json", caller.headers()) * ANSWERS)
    await asyncio.sleep(UNREAD_S + 10)
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    if (await reader.read()).count(b"HTTP/1.1 200") == ANSWERS:
        raise TimeoutError("the server has kept them all")


SLOW = (silent, head_by_head, byte_by_byte, unheard, belated, blank)


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, piece: bytes) -> None:
    ended = asyncio.create_task(reader.read())
    while not ended.done():
        writer.write(piece)
        await asyncio.wait([ended], timeout=DRIP_S)
    ended.exception()  # cut is ended, too


async def outlived(port: int, caller: Caller, client: Client, within_s: float) -> bool:
    """Whether the server still had the client after that time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
    try:
        async with asyncio.timeout(within_s):
            await client(reader, writer, caller)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    finally:
        writer.transport.abort()
    return False


async def latencies(port: int, caller: Caller, stop: asyncio.Event) -> list[float]:
    """Of an ordinary client on its own connection, in seconds."""
    taken = []
    with await asyncio.to_thread(Wire, port) as wire:
        good = request("GET", ME, caller.headers())
        while not stop.is_set() or len(taken) < 50:
            begun = time.perf_counter()
            assert (await asyncio.to_thread(wire.ask, good)).status == 200
            taken.append(time.perf_counter() - begun)
            await asyncio.sleep(0.01)
    return taken


def percentile_99(taken: list[float]) -> float:
    return sorted(taken)[len(taken) * 99 // 100]


@pytest.mark.fault("G10", "T12")
class TestSlowClients:
    @forms(
        smoke=(100, dict.fromkeys(SLOW, ENDS_S)),
        long=(250, dict.fromkeys(SLOW, ENDS_S) | {unreading: UNREAD_ENDS_S}),
    )
    async def test_are_sent_away_and_cost_the_others_nothing(
        self, product: ServedProduct, caller: Caller, counts: Counts, size: tuple[int, dict[Client, float]]
    ) -> None:
        number, kinds = size
        alone, beside = asyncio.Event(), asyncio.Event()
        alone.set()
        before = await latencies(product.port, caller, alone)
        memory = memory_mib(product.pid, "VmRSS")
        neighbour = asyncio.create_task(latencies(product.port, caller, beside))
        clients = [(kind, within_s) for kind, within_s in kinds.items() for _ in range(number)]
        left = await asyncio.gather(*(outlived(product.port, caller, *client) for client in clients))
        beside.set()
        during = await neighbour
        for kind in kinds:
            outlasted = sum(lasts for (of, _), lasts in zip(clients, left, strict=True) if of is kind)
            counts.none(f"still there: {kind.__name__}", outlasted, number)
        counts.note("others' p99 before", f"{percentile_99(before) * 1000:.1f} ms")
        counts.at_most("others' p99", percentile_99(during) * 1000, 250, " ms")
        allowed = UNREAD_MIB if unreading in kinds else GROWTH_MIB
        counts.at_most("memory", memory_mib(product.pid, "VmRSS") - memory, allowed, " MiB more")
        counts.judge()


BIG_HEAD = 48 << 10
PAIRS = b'\\"' * (MIB // 2 - 100)
URLENCODED = b"application/x-www-form-urlencoded"
TAKE_LONG: list[tuple[str, str, list[Header], bytes]] = [
    ("POST", "/api/v1/auth/refresh", [JSON], b"[" * 21 + b'"' + PAIRS[:8000]),
    ("POST", "/api/v1/auth/refresh", [JSON], b"[" * 21 + b'"' + PAIRS),
    ("POST", "/api/v1/users", [JSON], b"[" * 21 + b'"' + PAIRS),
    ("POST", "/api/v1/models/{model_id}/predictions", [JSON], b'{"predictions":[' + b"[" * 21 + b'"' + PAIRS),
    ("POST", "/api/v1/models/{model_id}/labels", [JSON], b'{"labels":[{"prediction_id":"' + PAIRS),
    ("POST", "/api/v1/auth/token", [(b"content-type", URLENCODED)], b"username=a" + b"%CC%80%CC%96" * 60_000),
    ("POST", "/api/v1/auth/token", [(b"content-type", URLENCODED)], b"username=a" + b"%CC%80%CC%96" * 600),
    ("POST", "/api/v1/auth/token", [(b"content-type", URLENCODED)], b"a=&" * 2600),
    (
        "POST",
        "/api/v1/auth/token",
        [(b"content-type", b"multipart/form-data; boundary=b; charset=punycode")],
        b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\n' + b"b" * MIB + b"\r\n--b--\r\n",
    ),
    ("POST", "/api/v1/auth/token", [(b"content-type", b"multipart/form-data" + b';a="\\' * (BIG_HEAD // 5))], b"--b--"),
    ("GET", "/.well-known/jwks.json", [(b"cookie", b'assay_refresh="' + b"\\" * BIG_HEAD + b'"')], b""),
    ("POST", "/api/v1/auth/refresh", [(b"cookie", b'assay_refresh="' + b"\\" * BIG_HEAD + b'"')], b""),
    ("POST", "/api/v1/auth/refresh", [(b"cookie", b"assay_refresh=;" * (BIG_HEAD // 15))], b""),
    ("GET", "/api/v1/models?" + "&" * BIG_HEAD, [], b""),
    ("GET", "/api/v1/models?" + "a=&" * (BIG_HEAD // 3), [], b""),
    ("GET", "/api/v1/models?cursor=" + "%CC%80%CC%96" * (BIG_HEAD // 12), [], b""),
    ("GET", "/api/v1/models/" + "%2F" * (BIG_HEAD // 3), [], b""),
    ("GET", "/" * BIG_HEAD, [], b""),
    ("PUT", "/api/v1/models/none/lifecycle/update", [(b"if-match", b'"a",' * (BIG_HEAD // 4)), JSON], b"{}"),
    ("GET", "/api/v1/models", [(b"accept", b"a/b;q=0.1," * (BIG_HEAD // 10))], b""),
    ("GET", "/api/v1/models", [(b"x-forwarded-for", b"1," * (BIG_HEAD // 2))], b""),
    ("GET", "/api/v1/models", [(b"x%d" % number, b"") for number in range(BIG_HEAD // 8)], b""),
]


@pytest.mark.smoke
@pytest.mark.fault("G9", "T12")
class TestWhatTakesLongToRead:
    @pytest.mark.parametrize("known", [True, False], ids=["of a caller", "of a stranger"])
    async def test_holds_up_nobody(self, product: ServedProduct, caller: Caller, *, known: bool) -> None:
        """Each was found, or thought of, to take a reader seconds to years; now some milliseconds."""
        stop = asyncio.Event()
        neighbour = asyncio.create_task(latencies(product.port, caller, stop))
        found = []
        for method, target, headers, body in TAKE_LONG:
            sent = [*caller.headers(**({} if known else {"authorization": None})), *headers]
            begun = time.perf_counter()
            raw = request(method, target.replace("{model_id}", caller.filled["model_id"]), sent, body)
            answer = await asyncio.to_thread(_asked_once, product.port, raw)
            found.append((round(time.perf_counter() - begun, 2), answer, method, target[:40], headers[:1]))
        stop.set()
        held_up = max(await neighbour)
        assert [one for one in found if one[0] > 2 or one[1] >= 500 or not one[1]] == []
        assert held_up < 2


def _asked_once(port: int, raw: bytes) -> int:
    with Wire(port, timeout_s=30) as wire:
        return wire.ask(raw).status
