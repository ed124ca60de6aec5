"""Bodies on their way in: counted (also when chunked), timed, and JSON read strictly before anybody uses it."""

import asyncio
from collections.abc import Mapping

from fastapi import params
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from app.core import strict_json
from app.core.errors import Place, UnsupportedMediaType
from app.core.exchange import exchange_of
from app.core.http import BodyTooLarge, BodyTooSlow

JSON = "application/json"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class CountedBody:
    """A request's `receive`. What is wrong (`BodyTooLarge`, `BodyTooSlow`, `InvalidRequest`, `UnsupportedMediaType`) is
    raised into whoever reads.

    The limit is looked up when reading begins, so that a guard may have raised it. A batch goes through piece by piece
    (its decoder is strict itself), and so does a form; whatever else an operation reads is JSON to it: that is gathered
    and checked first. What the headers call it decides nothing: frameworks read them in more ways than one.
    """

    __slots__ = (
        "_checked",
        "_deadline",
        "_exchange",
        "_finished",
        "_headers",
        "_receive",
        "_scope",
        "_seen",
        "_timeout",
    )

    def __init__(self, receive: Receive, scope: Scope, headers: Mapping[bytes, bytes], *, timeout_s: float) -> None:
        self._receive = receive
        self._scope = scope
        self._exchange = exchange_of(scope)
        self._headers = headers
        self._timeout = timeout_s
        self._deadline: float | None = None
        self._seen = 0
        self._finished = False
        self._checked = False

    async def __call__(self) -> Message:
        if self._finished:
            return await self._receive()  # only the news that the client left can come now
        if self._deadline is None:
            self._begin()
        if self._checked:
            return await self._gathered()
        return await self._next()

    def _begin(self) -> None:
        self._deadline = asyncio.get_running_loop().time() + self._timeout
        self._checked = not self._exchange.batch and _reads_json(self._scope)
        coding = self._headers.get(b"content-encoding")
        if coding is not None:
            _demand_identity(coding)
        declared = self._headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > self._exchange.body_limit:
            raise self._too_large()

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow(
                f"the body took longer than {self._timeout:g} s", headers={"Connection": "close"}
            ) from None
        if message["type"] != "http.request":
            return message
        self._seen += len(message.get("body", b""))
        if self._seen > self._exchange.body_limit:
            raise self._too_large()
        self._finished = not message.get("more_body", False)
        return message

    async def _gathered(self) -> Message:
        pieces = []
        while not self._finished:
            message = await self._next()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
        body = b"".join(pieces)
        if body:
            _demand_json(self._headers.get(b"content-type", b"").decode("latin-1"))
            strict_json.check(body)
        return {"type": "http.request", "body": body, "more_body": False}

    def _too_large(self) -> BodyTooLarge:
        limit = self._exchange.body_limit
        return BodyTooLarge(f"the body is larger than {limit} bytes", limit_bytes=limit)


async def whole(receive: Receive) -> bytes:
    """A request's body, read once; the framework's own way makes two generators for it. Raises `ClientDisconnect`."""
    pieces = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


def _reads_json(scope: Scope) -> bool:
    """Whether the operation declares a body that is no form; one that declares none reads none."""
    declared = getattr(scope.get("route"), "body_field", None)
    return declared is not None and not isinstance(declared.field_info, params.Form)


def demand_form(content_type: str) -> None:
    """Raises `UnsupportedMediaType` for a body that the framework would not read as a form, or as one in another
    encoding: it takes any that Python has, and some take minutes for a megabyte."""
    if not content_type:
        return
    kind, options = parse_options_header(content_type)  # as the framework reads it
    if kind.decode("latin-1") not in FORMS:
        raise UnsupportedMediaType("the body must be a form", supported=FORMS)
    if options.get(b"charset", b"utf-8").lower() not in {b"utf-8", b"utf8"}:
        raise UnsupportedMediaType("a form is read in UTF-8 only", supported=FORMS)


def _demand_json(content_type: str) -> None:
    name, parameters = _kind(content_type)
    if name != JSON and not (name.startswith("application/") and name.endswith("+json")):
        raise UnsupportedMediaType("the body must be JSON, and `Content-Type` must say so", supported=(JSON,))
    if "charset" in parameters and "utf-8" not in parameters and "utf8" not in parameters:
        raise UnsupportedMediaType("JSON is read in UTF-8 only", supported=(JSON,))


def _demand_identity(coding: bytes) -> None:
    if coding.strip().lower() not in {b"", b"identity"}:
        place = Place("/header/content-encoding", "not_identity", "leave it out, and send the body as it is")
        raise UnsupportedMediaType(
            "bodies are not unpacked: Content-Encoding must be identity",
            places=[place],
            headers={"Accept-Encoding": "identity"},
        )


def _kind(content_type: str) -> tuple[str, str]:
    """As the framework reads it: a media type, and its parameters."""
    name, _, parameters = content_type.lower().partition(";")
    return name.strip(), parameters
