"""The corpus in every place where it fits: requests as bytes, made when they are wanted."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.hostile.corpus import addresses, bodies, headers, texts, values
from tests.hostile.operations import JSON, Operation
from tests.support.wire import Header, request

_HOLE = "put it here"
KEYS = [json.dumps(text) for text in (*texts.SQL[:4], *texts.LINES, *texts.UNICODE, *texts.WORDS[:12])]
KEYS += ['"\\u0000"', '"\\ud800"', '"' + "k" * 200 + '"']


@dataclass(frozen=True, slots=True)
class Case:
    """`what` finds it again."""

    operation: str
    what: str
    raw: bytes


@dataclass(frozen=True)
class Caller:
    """Who sends, and what is there to be named in a path (else `none`)."""

    host: bytes
    token: bytes
    filled: Mapping[str, str]

    def headers(self, **changed: bytes | None) -> list[Header]:
        """The ordinary ones; a name with None is left out."""
        found = {"host": self.host, "authorization": b"Bearer " + self.token, **changed}
        return [(name.encode(), value) for name, value in found.items() if value is not None]


def cases_of(operation: Operation, caller: Caller) -> Iterator[Case]:
    """All of one operation."""
    for part in (_bodies, _values, _keys, _segments, _queries, _headers):
        for number, (what, raw) in enumerate(part(operation, caller)):
            yield Case(operation.name, f"{part.__name__[1:]} {number}: {what}", raw)


Made = Iterator[tuple[str, bytes]]


def _bodies(operation: Operation, caller: Caller) -> Made:
    target = operation.target(caller.filled)
    for kind, body in bodies.ALL:
        sent = [*caller.headers(), (b"content-type", kind.encode())]
        yield f"{kind} {body[:40]!r}", request(operation.method, target, sent, body)


def _values(operation: Operation, caller: Caller) -> Made:
    """Each leaf of each example replaced by each value, and each object and list by it as well."""
    for body in operation.bodies:
        for path in _paths(body):
            frame = json.dumps(_put(body, path, _HOLE))
            for value in values.ALL:
                yield f"{path} {value[:40]}", _json(operation, caller, frame.replace(json.dumps(_HOLE), value, 1))


def _keys(operation: Operation, caller: Caller) -> Made:
    """A member more, in each object of each example."""
    for body in operation.bodies:
        for path in _paths(body):
            inside = _get(body, path)
            if not isinstance(inside, dict):
                continue
            frame = json.dumps(_put(body, path, {**inside, _HOLE: 1}))
            for key in KEYS:
                yield f"{path} {key[:40]}", _json(operation, caller, frame.replace(json.dumps(_HOLE), key, 1))


def _json(operation: Operation, caller: Caller, text: str) -> bytes:
    sent = [*caller.headers(), (b"content-type", JSON.encode())]
    return request(operation.method, operation.target(caller.filled), sent, text.encode("utf-8", "surrogatepass"))


def _segments(operation: Operation, caller: Caller) -> Made:
    body = json.dumps(operation.bodies[0]).encode() if operation.bodies else None
    sent = caller.headers(**({"content-type": JSON.encode()} if body else {}))
    for place in operation.places:
        for segment in addresses.SEGMENTS:
            target = operation.target({**caller.filled, place: segment})
            yield f"{place} {segment[:40]}", request(operation.method, target, sent, body)


def _queries(operation: Operation, caller: Caller) -> Made:
    named = [f"{name}={value}" for name in operation.parameters for value in addresses.PARAMETER_VALUES]
    for query in (*addresses.QUERIES, *named):
        target = f"{operation.target(caller.filled)}?{query}"
        yield query[:60], request(operation.method, target, caller.headers())


def _headers(operation: Operation, caller: Caller) -> Made:
    target = operation.target(caller.filled)
    for extra in headers.ALL:
        yield f"{extra[0][0][:30]!r}", request(operation.method, target, [*caller.headers(), *extra])
    for credentials in headers.CREDENTIALS:
        yield f"{credentials[:40]!r}", request(operation.method, target, caller.headers(authorization=credentials))
    for host in headers.HOSTS:
        yield f"host {host[:40]!r}", request(operation.method, target, caller.headers(host=host))


Path = tuple[str | int, ...]


def _paths(value: Any, before: Path = ()) -> Iterator[Path]:
    yield before
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _paths(member, (*before, name))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _paths(member, (*before, number))


def _get(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _put(value: Any, path: Path, new: Any) -> Any:
    """A copy with `new` at `path`."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {**value, first: _put(value[first], tuple(rest), new)}
    return [_put(member, tuple(rest), new) if number == first else member for number, member in enumerate(value)]
