"""The route of operations that create or start something: with an `Idempotency-Key` they are carried out once.

    once = APIRouter(route_class=OnceRoute)

    @once.post("/users", …)

The key is claimed when guards and validation are through, so that nobody claims who may not ask; what was answered is
kept. An answer that is given again says so in `Idempotency-Replayed`.
"""

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Scope

from app.core.errors import Problem
from app.core.exchange import exchange_of
from app.idempotency.service import Answer, Claim, Claims

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="makes it safe to send this again: for 24 hours the same key and body get the same answer",
        examples=["5f0c9a3e-7d0b-4d0e-9c53-1f9e5a0b8f11"],
    ),
]
REPLAYED = "idempotency-replayed"
_KEPT_HEADERS = ("content-type", "etag", "location", "cache-control")
_CLAIM = "assay.claim"  # in the scope
_ONCE = "__assay_once__"


class OnceRoute(APIRoute):
    """Wraps the endpoint to claim, and the whole to keep the answer as it leaves."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint if hasattr(endpoint, _ONCE) else _claiming(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def keeping(request: Request) -> Response:
            try:
                response = await handle(request)
            except Problem as problem:
                await _give_up(request, problem)
                raise
            await _keep(request, response)
            return response

        return keeping


def _claiming(endpoint: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The endpoint with two more parameters: the request and the key. Called by FastAPI when all others are solved."""
    signature = inspect.signature(endpoint)
    given = next((name for name, of in signature.parameters.items() if of.annotation is Request), None)
    request_name = given or "http_request"  # endpoints may call their body `request`

    @wraps(endpoint)
    async def once(idempotency_key: str | None = None, **arguments: Any) -> Any:
        request = arguments[request_name] if given else arguments.pop(request_name)
        if idempotency_key is not None:
            answer = await _claim(request, idempotency_key)
            if answer is not None:
                return Response(answer.body, answer.status, {**dict(answer.headers), REPLAYED: "true"})
        return await endpoint(**arguments)

    added = [
        inspect.Parameter("idempotency_key", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=IdempotencyKey)
    ]
    if given is None:
        added.append(inspect.Parameter(request_name, inspect.Parameter.KEYWORD_ONLY, annotation=Request))
    parameters = [*signature.parameters.values(), *added]
    once.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    setattr(once, _ONCE, True)
    return once


async def _claim(request: Request, text: str) -> Answer | None:
    """None: carry it out."""
    exchange = exchange_of(request.scope)
    if exchange.principal is None:
        raise TypeError(f"{request.scope['path']}: what is carried out once needs a caller who is known")
    digest = _digest(request.scope, await request.body())
    found = await _claims(request).claim(exchange.principal, text, digest, exchange.request_id)
    if isinstance(found, Answer):
        return found
    request.scope[_CLAIM] = found
    return None


async def _keep(request: Request, response: Response) -> None:
    claim: Claim | None = request.scope.get(_CLAIM)
    if claim is not None:
        headers = tuple((name, response.headers[name]) for name in _KEPT_HEADERS if name in response.headers)
        await _claims(request).keep(claim, Answer(response.status_code, headers, bytes(response.body)))


async def _give_up(request: Request, problem: Problem) -> None:
    """What was refused changed nothing. Of what failed nobody knows: the claim stays until its time is over."""
    claim: Claim | None = request.scope.get(_CLAIM)
    if claim is not None and problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        await _claims(request).release(claim)


def _claims(request: Request) -> Claims:
    claims: Claims = request.app.state.services[Claims]
    return claims


def _digest(scope: Scope, body: bytes) -> bytes:
    """Of all that makes a request the same: operation, address and body."""
    head = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}\0"
    return hashlib.sha256(head.encode("utf-8", "surrogatepass") + body).digest()
