"""The outermost layer: one ASGI wrapper does what every request needs, and answers what the framework would not.

Request id, trusted hosts, body limits, security headers, metrics, the access log, the gate (503 while the process is
not ready to work), and an answer to every unknown error, so that the connection stays usable for the next request.
"""

import asyncio
import enum
import re
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core import logs, telemetry
from app.core.bodies import CountedBody
from app.core.direct import DirectRoute
from app.core.errors import Place, Problem, Unavailable
from app.core.exchange import KEY, Exchange, enter
from app.core.heads import given_twice, host, with_cookie, wrong_address
from app.core.http import (
    MEDIA_TYPE,
    InternalError,
    MalformedRequest,
    UntrustedHost,
    document,
    headers_of,
    without_memory,
)
from app.core.proxies import Proxies
from app.core.routing import HEAD_ALONE
from app.core.settings import HttpSettings

log = structlog.get_logger()

CLIENT_LEFT = 499  # nginx's number for it; only metrics and log see it
UNMATCHED = "unmatched"
_REQUEST_ID = re.compile(rb"[\w-]{1,64}", re.ASCII)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Phase(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"


class Gate:
    """Whether this process works, and how many requests it has under way."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.under_way = 0
        self._idle: asyncio.Event | None = None

    def open(self) -> None:
        self.phase = Phase.RUNNING

    def drain(self) -> None:
        self.phase = Phase.DRAINING

    def enter(self) -> None:
        self.under_way += 1

    def leave(self) -> None:
        self.under_way -= 1
        if self._idle is not None and not self.under_way:
            self._idle.set()

    async def emptied(self, timeout_s: float) -> bool:
        """Waits until no request is under way; False when the time is over first."""
        if not self.under_way:
            return True
        self._idle = asyncio.Event()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer that stands ready as bytes."""

    status: int
    body: bytes


class Edge:
    """Wraps the application. `prepared`: path → an answer for GETs without credentials, given without the router.
    `nameless`: paths that are answered by whatever host they are asked for, as prepared ones are.
    `direct`: the route of a request that needs none of the layers below. `cookies`: path → the name of the one cookie
    that is read there; no other goes further than here.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: HttpSettings,
        gate: Gate,
        templates: Mapping[int, str],
        prepared: Mapping[str, Callable[[], Prepared]],
        nameless: Collection[str],
        direct: Callable[[Scope], DirectRoute | None],
        cookies: Mapping[str, str],
    ) -> None:
        self._app = app
        self._settings = settings
        self._gate = gate
        self._templates = templates
        self._prepared = prepared
        self._nameless = nameless
        self._direct = direct
        self._cookies = {path: name.encode() for path, name in cookies.items()}
        self._proxies = Proxies(settings.trusted_proxies)
        self._hosts = frozenset(host.lower().encode() for host in settings.trusted_hosts)
        self._access = logs.access_writer()
        self._any_host = "*" in settings.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        exchange = self._exchange(scope, headers)
        scope[KEY] = exchange
        sent = _head_alone(scope, send) if scope["method"] == "HEAD" else send
        answer = _Answer(sent, exchange, secure=scope["scheme"] == "https")
        telemetry.IN_PROGRESS.inc()
        self._gate.enter()
        try:
            await self._respond(scope, headers, receive, answer)
        except ClientDisconnect:
            answer.status = CLIENT_LEFT
            await exchange.settle(CLIENT_LEFT)
        except asyncio.CancelledError:
            answer.status = answer.status or CLIENT_LEFT
            raise
        except Problem as error:
            if answer.started:
                raise
            await answer.problem(error, scope["path"])
        except MemoryError:
            if answer.started:
                raise
            await answer.problem(without_memory(), scope["path"])
        except Exception:
            log.exception("unknown error", request_id=exchange.request_id, path=scope["path"])
            if answer.started:
                raise  # half an answer is out: only cutting the connection tells the client
            await answer.problem(InternalError("an unexpected error; the log has the cause"), scope["path"])
        finally:
            self._gate.leave()
            telemetry.IN_PROGRESS.dec()
            self._record(scope, exchange, answer.status, time.perf_counter() - started)

    async def _respond(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, answer: "_Answer") -> None:
        ready = self._prepared.get(scope["path"])
        if ready is not None and scope["method"] == "GET" and b"authorization" not in headers:
            scope[KEY].route = scope["path"]
            await answer.prepared(ready())
            return
        refusal = self._refusal(scope, headers, gated=ready is None)
        if refusal is not None:
            await answer.problem(refusal, scope["path"])
            return
        sends = b"content-length" in headers or b"transfer-encoding" in headers
        if sends and scope["method"] != "GET":  # a GET's body is read by nobody
            receive = CountedBody(receive, scope, headers, timeout_s=self._settings.body_timeout_s)
        if b"cookie" in headers:
            scope["headers"] = with_cookie(scope, self._cookies.get(scope["path"]))
        enter(scope[KEY])
        route = self._direct(scope)
        await (self._app if route is None else route.answer)(scope, receive, answer)

    def _exchange(self, scope: Scope, headers: dict[bytes, bytes]) -> Exchange:
        given = headers.get(b"x-request-id")
        trusted = given is not None and _REQUEST_ID.fullmatch(given)
        return Exchange(
            request_id=given.decode() if given is not None and trusted else secrets.token_hex(12),
            client=self._proxies.client(scope["client"][0] if scope.get("client") else "", scope["headers"]),
            body_limit=self._settings.max_body_bytes,
            batch_limit=self._settings.max_batch_bytes,
        )

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes], *, gated: bool) -> Problem | None:
        if len(headers) != len(scope["headers"]):
            twice = given_twice(scope)
            if twice is not None:
                return twice
        named = self._any_host or host(headers.get(b"host", b"")) in self._hosts
        if not named and scope["path"] not in self._nameless:
            return UntrustedHost("this host name is not served here")
        if headers.get(b"transfer-encoding", b"chunked").strip().lower() != b"chunked":
            place = Place("/header/transfer-encoding", "not_chunked", "only chunked is undone")
            return MalformedRequest("the body is in a transfer coding that is not undone here", places=[place])
        wrong = wrong_address(scope)
        if wrong is not None:
            return wrong
        if gated and self._gate.phase is Phase.STARTING:
            return Unavailable(
                "the service is starting: its database is not reachable or not migrated yet",
                headers={"Retry-After": "1"},
            )
        return None

    def _record(self, scope: Scope, exchange: Exchange, status: int, seconds: float) -> None:
        route = exchange.route or template_of(scope, self._templates)
        telemetry.answered(scope["method"], route, status, seconds)
        if self._access is None or (exchange.route and status < HTTPStatus.INTERNAL_SERVER_ERROR):
            return  # nobody reads that health was asked and well
        self._access(
            {
                "event": "request",
                "request_id": exchange.request_id,
                "method": scope["method"],
                "route": route,
                "path": scope["path"],
                "status": status,
                "duration_ms": round(seconds * 1000, 3),
                "client": exchange.client,
                "principal": exchange.principal,
            }
        )


def template_of(scope: Scope, templates: Mapping[int, str]) -> str:
    """The template of the route that a request went to; after the router has seen it."""
    route = scope.get("route")
    if route is not None:
        return templates.get(id(route), UNMATCHED)
    return "/static" if scope["path"].startswith("/static/") else UNMATCHED


def _head_alone(scope: Scope, send: Send) -> Send:
    """The `send` of a HEAD. To everything below it is a GET; of the answer the head goes out, and no byte more."""
    scope["method"], scope[HEAD_ALONE] = "GET", True

    async def sent(message: Message) -> None:
        scope["method"] = "HEAD"  # the server, spans and log are told what was asked
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return sent


class _Answer:
    """The `send` of one request: adds headers, remembers the status, and can answer by itself."""

    __slots__ = ("_exchange", "_secure", "_send", "started", "status")

    def __init__(self, send: Send, exchange: Exchange, *, secure: bool) -> None:
        self._send = send
        self._exchange = exchange
        self._secure = secure
        self.started = False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = self._completed(message.get("headers", ()))
            if self._exchange.owed is not None:
                await self._exchange.settle(self.status)
        await self._send(message)

    async def prepared(self, ready: Prepared, media_type: bytes = b"application/json") -> None:
        length = str(len(ready.body)).encode()
        headers = [(b"content-type", media_type), (b"content-length", length), (b"cache-control", b"no-store")]
        await self({"type": "http.response.start", "status": ready.status, "headers": headers})
        await self({"type": "http.response.body", "body": ready.body})

    async def problem(self, problem: Problem, path: str) -> None:
        body = document(problem, instance=path, request_id=self._exchange.request_id)
        self._exchange.headers += [
            (name.lower().encode(), value.encode()) for name, value in headers_of(problem).items()
        ]
        await self.prepared(Prepared(problem.status, body), MEDIA_TYPE.encode())

    def _completed(self, given: "list[tuple[bytes, bytes]] | tuple[()]") -> list[tuple[bytes, bytes]]:
        headers = [*given, (b"x-request-id", self._exchange.request_id.encode()), *_HEADERS, *self._exchange.headers]
        if not any(name == b"content-security-policy" for name, _ in given):
            headers.append(_POLICY)
        if self._secure:
            headers.append(_HSTS)
        return headers
