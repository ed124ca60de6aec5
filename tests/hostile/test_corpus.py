"""The corpus against every operation: no 5xx, every refusal a problem, and the neighbour on the same connection is
answered (G9, T9, T12 to T15)."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Self
from urllib.parse import unquote_to_bytes

import httpx
import pytest

from tests.hostile.cases import Caller, Case, cases_of
from tests.hostile.corpus import addresses, framing, texts
from tests.hostile.operations import Operation, all_operations
from tests.support.counts import Counts, forms
from tests.support.served import EMAIL, PASSWORD, ServedProduct, wait_for
from tests.support.wire import Answer, Wire, request

_FORMS = [form for text in texts.SQL for form in (text.encode(), json.dumps(text).encode()[1:-1])]
_SENT = re.compile(b"|".join(map(re.escape, sorted(_FORMS, key=len, reverse=True))))
ME = "/api/v1/auth/me"
MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}
MAX_HEAD = 64 << 10
_LEAKS = re.compile(rb"Traceback|asyncpg|sqlalchemy|psycopg|File \"|site-packages|SELECT .*? FROM|INSERT INTO", re.I)


@dataclass
class Seen:
    """What the answers were; each list holds what finds a case again."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    shapeless: list[str] = field(default_factory=list)
    leaking: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def note(self, where: str, raw: bytes, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        if answer.status >= 500 or not answer.status:
            self.broken.append(f"{where} -> {answer.status}")
        elif answer.status >= 400 and not is_problem(answer):
            self.shapeless.append(f"{where} -> {answer.status} {answer.kind}")
        # what was sent before, and is stored, may be repeated
        told = _LEAKS.search(_SENT.sub(b"", answer.body)) if answer.status >= 400 else None
        if told and told.group() not in unquote_to_bytes(raw):
            self.leaking.append(f"{where}: {told.group().decode(errors='replace')[:80]}")

    def count(self, counts: Counts) -> None:
        sent = self.statuses.total()
        counts.none("5xx or no answer", self.broken, sent)
        counts.none("neighbours dropped", self.dropped, sent)
        counts.none("refusals that are no problem+json", self.shapeless, sent)
        counts.none("answers that tell of the inside", self.leaking, sent)
        counts.note("statuses", dict(sorted(self.statuses.items())))


def is_problem(answer: Answer) -> bool:
    if answer.kind != "application/problem+json":
        return False
    body = answer.json()
    return (
        set(body) >= MEMBERS
        and body["status"] == answer.status
        and body["request_id"] == answer.headers["x-request-id"]
    )


class Sender:
    """Sends each hostile request on a connection that it keeps, and a good one behind it."""

    def __init__(self, port: int, caller: Caller) -> None:
        self._port = port
        self._good = request("GET", ME, caller.headers())
        self._wire = Wire(port)
        self.seen = Seen()

    def send(self, case: Case) -> None:
        where = f"{case.operation} {case.what}"
        answer = self._wire.ask(case.raw)
        self.seen.note(where, case.raw, answer)
        if answer.kind == "text/event-stream" or (answer.closes and ends_the_connection(case)):
            self._wire.close()  # a stream goes on; and behind a head that is no HTTP there is no next request
            self._wire = Wire(self._port)
        neighbour = self._wire.ask(self._good)
        if neighbour.status != 200:
            self.seen.dropped.append(f"{where} -> {answer.status}, then {neighbour.status}")
            self._wire.close()
            self._wire = Wire(self._port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()


def ends_the_connection(case: Case) -> bool:
    """Whether the head is larger than any may be, or holds what no header may: where it ends is not known then."""
    head = case.raw.split(b"\r\n\r\n", 1)[0]
    return len(head) > MAX_HEAD or re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head) is not None


def chosen(operations: list[Operation], caller: Caller, draw: Random, per_operation: int | None) -> list[Case]:
    found = []
    for operation in operations:
        cases = list(cases_of(operation, caller))
        found += cases if per_operation is None else draw.sample(cases, min(per_operation, len(cases)))
    return found


@pytest.mark.fault("G9", "T9", "T12", "T13", "T15")
class TestCorpus:
    @forms(smoke=30, long=None)
    def test_every_operation_survives_it(
        self, product: ServedProduct, caller: Caller, draw: Random, counts: Counts, size: int | None
    ) -> None:
        operations = [each for each in all_operations() if not each.path.endswith("/logout")]
        cases = chosen(operations, caller, draw, size)
        with Sender(product.port, caller) as sender:
            for case in cases:
                sender.send(case)
        counts.note("operations", len(operations))
        sender.seen.count(counts)
        counts.judge()

    @forms(smoke=20, long=None)
    def test_and_so_does_logging_out(
        self, product: ServedProduct, caller: Caller, draw: Random, counts: Counts, size: int | None
    ) -> None:
        """With a token of its own, which the first request ends."""
        form = {"username": EMAIL, "password": PASSWORD}
        token = httpx.post(f"{product.url}/api/v1/auth/token", data=form).json()["access_token"]
        (log_out,) = [each for each in all_operations() if each.path.endswith("/logout")]
        cases = chosen([log_out], replace(caller, token=token.encode()), draw, size)
        with Sender(product.port, caller) as sender:
            for case in cases:
                sender.send(case)
        sender.seen.count(counts)
        counts.judge()

    def test_addresses_that_are_none(self, product: ServedProduct, caller: Caller, counts: Counts) -> None:
        with Sender(product.port, caller) as sender:
            for whole in addresses.WHOLE:
                for method in ("GET", "POST", "DELETE", "PATCH"):
                    sender.send(Case(method, whole[:60], request(method, whole, caller.headers())))
        sender.seen.count(counts)
        counts.judge()


@pytest.mark.fault("G9", "T12")
class TestFraming:
    def test_bytes_that_are_no_request(self, product: ServedProduct, caller: Caller, counts: Counts) -> None:
        """Each on a connection of its own, which may end; the one beside it may not notice."""
        seen, good = Seen(), request("GET", ME, caller.headers())
        with Wire(product.port) as beside:
            for number, template in enumerate(framing.ALL):
                raw = template.replace(b"{host}", caller.host).replace(b"{token}", caller.token)
                with Wire(product.port, timeout_s=5) as wire:
                    seen.note(f"{number}: {raw[:60]!r}", raw, wire.ask(raw))
                if beside.ask(good).status != 200:
                    seen.dropped.append(f"{number}: {raw[:60]!r}")
        seen.count(counts)
        counts.judge()

    @pytest.mark.parametrize("first", ["ours", "another"])
    def test_two_hosts_are_refused_whichever_comes_first(
        self, product: ServedProduct, caller: Caller, first: str
    ) -> None:
        hosts = [(b"host", caller.host), (b"host", b"evil.example")]
        sent = [*(hosts if first == "ours" else reversed(hosts)), *caller.headers(host=None)]
        with Wire(product.port) as wire:
            assert wire.ask(request("GET", ME, sent)).status == 400


def logged(product: ServedProduct) -> list[bytes]:
    """Its lines but the one with which the command greets; the last may be half written."""
    return [line for line in product.log.read_bytes().split(b"\n")[:-1] if not line.startswith(b"Assay answers on")]


@pytest.mark.fault("T14")
class TestLog:
    def test_holds_one_object_a_line_whatever_was_sent(self, product: ServedProduct, caller: Caller) -> None:
        evil = 'a%0a{"event":"forged"}%0d%1b[31m%e2%80%a8'
        sent = caller.headers(**{"x-request-id": b"told-of-this"})
        with Wire(product.port) as wire:
            for _ in range(20):
                assert wire.ask(request("GET", f"/api/v1/models/{evil}", sent)).status == 422

        def lines() -> list[bytes]:
            return [line for line in logged(product) if b"told-of-this" in line]

        wait_for(lambda: len(lines()) >= 20)  # a line is written behind its answer
        assert {json.loads(line)["event"] for line in lines()} == {"request"}
        assert not any(byte < 32 for line in lines() for byte in line)

    def test_of_all_that_was_sent_no_line_is_broken_and_none_tells_of_an_unknown_error(
        self, product: ServedProduct
    ) -> None:
        entries = [json.loads(line) for line in logged(product)]
        errors = [entry for entry in entries if entry.get("level") == "error"]
        ours = [
            entry for entry in errors if entry["event"] == "unknown error" or entry.get("logger") == "uvicorn.error"
        ]
        assert ours == []
