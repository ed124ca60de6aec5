"""Finding a request's operation by its address's shape instead of trying one route after the other.

FastAPI tries all routes in order, those of included routers several times over; with some sixty operations that costs
more than answering a small request. Here all operations lie flat in one router, and a dictionary leads to the few whose
address can fit. Mounts and what is not there go FastAPI's way.
"""

import inspect
from collections.abc import Collection, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from app.core.direct import BeforeBody, DirectRoute, foreseen, unforeseen
from app.core.queries import names_of, refusal, unknown

_PARAMETERS = tuple(inspect.signature(APIRoute.__init__).parameters)[1:]  # without self
_NOUN = 3  # "", "api", "v1", noun: where addresses begin to differ
_ANY = "{}"
HEAD_ALONE = "assay.head"  # in the scope, where a GET is asked for the sake of its answer's head
_SEEN = 1024  # addresses whose way is kept
_SEEN_LENGTH = 512  # characters; so that strangers can't fill the memory with long ones

Shape = tuple[int, str, str]
_Address = tuple[str, str, bytes, str]  # method, path, query, root


class ShapedRouter(APIRouter):
    """A router that knows the shapes of its operations' addresses, and what each may be asked with.

    Pages, which the document doesn't name, may be asked with anything, and so may `open_to_any`: whoever links to them,
    scrapes or probes them adds parameters of his own.
    """

    def __init__(self, *, open_to_any: Collection[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self._open_to_any = open_to_any
        self._shapes: dict[Shape, list[APIRoute]] = {}
        self._known: dict[int, frozenset[str]] = {}
        self._seen: dict[_Address, Scope] = {}

    def adopt(self, routes: Iterable[APIRoute]) -> None:
        for route in routes:
            self.routes.append(route)
            self._shapes.setdefault(_shape(_placeheld(route.path)), []).append(route)
            if route.include_in_schema and route.path not in self._open_to_any:
                self._known[id(route)] = names_of(route)

    def direct(self, scope: Scope) -> DirectRoute | None:
        """The operation that a request is for, if it is direct and its plan holds; `scope` then knows it."""
        address = scope["method"], scope["path"], scope["query_string"], scope.get("root_path", "")
        found = self._seen.get(address)
        if found is None:
            found = self._planned(scope)
            if found is None:
                return None
            self._keep(address, found)
        scope.update(found)
        scope["path_params"] = dict(found["path_params"])
        route: DirectRoute = found["route"]
        return route

    def _planned(self, scope: Scope) -> Scope | None:
        """What a direct route adds to the scope of every request to an address; None where none is for it."""
        for route in self._candidates(scope["path"]):
            match, found = route.matches(scope)
            if match is Match.FULL:
                planned = isinstance(route, DirectRoute) and foreseen(found)
                return found if planned and not self._unknown(route, scope) else None
        return None

    def _unknown(self, route: APIRoute, scope: Scope) -> list[str]:
        known = self._known.get(id(route)) if scope["query_string"] else None
        return [] if known is None else unknown(scope["query_string"], known)

    def _keep(self, address: _Address, found: Scope) -> None:
        if len(address[1]) + len(address[2]) > _SEEN_LENGTH:
            return
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen[address] = found

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().app(scope, receive, send)
            return
        allowed: set[str] = set()
        for route in self._candidates(scope["path"]):
            match, found = route.matches(scope)
            if match is Match.FULL and not (HEAD_ALONE in scope and _endless(route)):
                scope.update(found)
                await _let_in(route, scope)
                strange = self._unknown(route, scope)
                if strange:
                    raise refusal(strange, self._known[id(route)])
                await route.handle(scope, receive, send)
                return
            if match is not Match.NONE:
                scope.update(found)
                allowed |= _methods(route)
        if allowed:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(allowed))})
        await super().app(scope, receive, send)

    def _candidates(self, path: str) -> Iterator[APIRoute]:
        segments, noun, last = _shape(path)
        yield from self._shapes.get((segments, noun, last), ())
        yield from self._shapes.get((segments, noun, _ANY), ())


async def _let_in(route: APIRoute, scope: Scope) -> None:
    """FastAPI reads a body before it asks who sends it; here nothing is read of whom no guard lets in."""
    for each in route.dependant.dependencies:
        if isinstance(each.call, BeforeBody):
            await each.call(Request(scope))


def _methods(route: APIRoute) -> set[str]:
    """Whatever has a GET has a HEAD, which the edge makes of it."""
    declared = route.methods or set()
    return declared | {"HEAD"} if "GET" in declared and not _endless(route) else declared


def _endless(route: APIRoute) -> bool:
    """A stream, whose answer would go on for as long as somebody listens."""
    kind = route.response_class
    return isinstance(kind, type) and issubclass(kind, StreamingResponse)


def flat(*routers: APIRouter) -> tuple[APIRoute, ...]:
    """Every operation of the routers, also of those they include, as routes of one level.

    Those that can be are direct; a route that was declared of a class of its own stays of it.
    """
    return tuple(_flat(context) for router in routers for context in iter_route_contexts(router.routes))


def _flat(context: RouteContext) -> APIRoute:
    options: dict[str, Any] = {name: getattr(context, name) for name in _PARAMETERS if hasattr(context, name)}
    options["generate_unique_id_function"] = _operation_id
    declared = type(context.original_route)
    if declared is not APIRoute and issubclass(declared, APIRoute):
        return declared(**options)
    route = APIRoute(**options)
    return route if unforeseen(route) else DirectRoute(**options)


def _operation_id(route: APIRoute) -> str:
    """The endpoint's name; a test holds that there are no two of one name."""
    return route.name


def _shape(path: str) -> Shape:
    """Number of segments, noun, last segment."""
    parts = path.split("/")
    return len(parts), parts[_NOUN] if len(parts) > _NOUN else "", parts[-1]


def _placeheld(template: str) -> str:
    """`/models/{model_id}` → `/models/{}`."""
    return "/".join(_ANY if part.startswith("{") else part for part in template.split("/"))
