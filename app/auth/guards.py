"""The guards of operations. Every route has exactly one; `unguarded` finds those that forgot.

async def trends(principal: Annotated[Principal, Scoped("analytics:read")], …)      a scope of the table
async def me(principal: Annotated[Principal, Authenticated])                        any valid caller
async def health(principal: Annotated[Principal | None, Recognised])                public, tells more to those it knows
@router.post("/auth/token", dependencies=[Public])                                  public
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from app.auth.authenticate import Authenticator
from app.auth.errors import Forbidden, ModelOutOfReach, Unauthenticated
from app.auth.limits import PrincipalLimits
from app.auth.principal import Principal
from app.auth.scopes import BATCH_SCOPES, ROLES_OF
from app.core.direct import BeforeBody
from app.core.errors import Unavailable
from app.core.exchange import exchange_of

SOON_S = 1.0  # who watches health gives up after a few seconds


class Guard:
    """What stands before an operation. `scope` None: none is needed; `public`: nobody needs to say who he is."""

    def __init__(self, scope: str | None = None, *, public: bool = False) -> None:
        self.scope = scope
        self.public = public


class _Scoped(BeforeBody, Guard):
    async def asked(self, request: Request) -> Principal:
        principal = await _principal(request, by_rows=self.scope in BATCH_SCOPES)
        if self.scope is not None and self.scope not in principal.scopes:
            raise Forbidden(f"this needs the scope {self.scope}", scope=self.scope)
        model_id = request.path_params.get("model_id")
        if model_id is not None and not principal.may_see(model_id):
            raise ModelOutOfReach("there is no such model")  # operations without a model filter by themselves
        if self.scope in BATCH_SCOPES:
            exchange_of(request.scope).allow_batch()
        return principal


class _Recognised(BeforeBody, Guard):
    async def asked(self, request: Request) -> Principal | None:
        """None too where the database can't tell soon who it is: the answer does not wait for it. No limit counts."""
        credential = credential_of(request)
        if credential is None:
            return None
        try:
            async with asyncio.timeout(SOON_S):
                principal = await _asked(request, credential)
        except (Unavailable, TimeoutError):
            return None
        exchange_of(request.scope).principal = principal.subject
        return principal


class _Public(Guard):
    async def __call__(self) -> None:
        """Lets everybody in."""


def Scoped(scope: str) -> Any:  # noqa: N802  reads as a type beside `Principal`
    """A guard that lets callers with `scope` in; an unknown scope fails at import."""
    if scope not in ROLES_OF:
        raise ValueError(f"{scope} is not in the table of scopes")
    return Depends(_Scoped(scope))


Authenticated: Any = Depends(_Scoped())
Recognised: Any = Depends(_Recognised(public=True))
Public: Any = Depends(_Public(public=True))


async def _principal(request: Request, *, by_rows: bool = False) -> Principal:
    """`by_rows`: the operation counts rows of a key, not requests."""
    credential = credential_of(request)
    if credential is None:
        raise Unauthenticated("send an access token or an API key as `Authorization: Bearer …`")
    services = request.app.state.services
    authenticator: Authenticator = services[Authenticator]
    limits: PrincipalLimits = services[PrincipalLimits]
    exchange = exchange_of(request.scope)
    principal = authenticator.known(credential) or await _asked(request, credential)
    exchange.principal = principal.subject
    if principal.kind == "user" or not by_rows:
        await limits.request(principal, exchange)
    else:
        limits.owe_rows(principal, exchange)
    return principal


async def _asked(request: Request, credential: str) -> Principal:
    """Each question costs a query, so an address that was wrong too often asks no more for a while; who was let in here
    before may: others at his address are not to shut him out."""
    authenticator: Authenticator = request.app.state.services[Authenticator]
    limits: PrincipalLimits = request.app.state.services[PrincipalLimits]
    exchange = exchange_of(request.scope)
    if authenticator.guessed(credential):
        limits.demand_few_failures(exchange)
    try:
        return await authenticator.principal(credential)
    except Unauthenticated:
        if authenticator.asks(credential):
            await limits.failed(exchange)
        raise


def credential_of(request: Request) -> str | None:
    """None where there is none, or one of another scheme: a proxy's, perhaps."""
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            scheme, _, credential = value.partition(b" ")
            text: str = credential.strip().decode("latin-1")
            return text if scheme.lower() == b"bearer" else None
    return None


def guards_of(dependant: Dependant) -> list[Guard]:
    """The guards among a route's dependencies, however deep."""
    found: list[Guard] = [dependant.call] if isinstance(dependant.call, Guard) else []
    return found + [guard for child in dependant.dependencies for guard in guards_of(child)]


def guarded(routes: Sequence[BaseRoute]) -> Iterator[tuple[Any, list[Guard]]]:
    """Every operation of the application, also of included routers, with its guards."""
    for context in iter_route_contexts(routes):
        dependant = getattr(context, "dependant", None)
        if isinstance(dependant, Dependant):
            yield context, guards_of(dependant)


def demand_guards(routes: Sequence[BaseRoute]) -> None:
    """Deny by default: an operation with no guard, or with two, stops the start."""
    for context, guards in guarded(routes):
        if len(guards) != 1:
            raise RuntimeError(f"{sorted(context.methods or ())} {context.path} has {len(guards)} guards; it needs one")
