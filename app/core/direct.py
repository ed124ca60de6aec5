"""Operations whose arguments are gathered by a plan made at the start.

FastAPI solves an operation's dependencies anew for every request, which costs more than taking a row in, or than
answering a small question. Here the same declarations are read once. Whatever the plan does not foresee (a path or a
query that does not validate) goes FastAPI's way, so answers, documents and guards are the same. What the plan foresees
needs nothing of the layers around the router, so the edge hands it to its route at once.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.routing import APIRoute, serialize_response
from starlette.datastructures import QueryParams
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

JSON = "application/json"
_FORESEEN = "assay.direct"  # in the scope: the address's values, where the plan holds for this request
_KEPT = "assay.asked"  # in the scope: what was given by whom


class BeforeBody(ABC):
    """A dependency that is asked before any of the body is read, and once a request, however often it is called: what
    it gave is kept in the scope."""

    async def __call__(self, request: Request) -> Any:
        kept = request.scope.setdefault(_KEPT, {})
        if self not in kept:
            kept[self] = await self.asked(request)
        return kept[self]

    @abstractmethod
    async def asked(self, request: Request) -> Any:
        """Raises where the request is not to go on."""


class DirectRoute(APIRoute):
    """The endpoint is async; its dependencies are too, and take the request alone. `unforeseen` says whose are not."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        reason = unforeseen(self)
        if reason is not None:
            raise TypeError(f"{endpoint.__name__}: {reason}")
        declared = self.dependant
        self._calls: list[tuple[str | None, Any]] = [(each.name, each.call) for each in declared.dependencies]
        self._defaults = self._query(b"")
        self._status = self.status_code or 200

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        if match is Match.FULL:
            found[_FORESEEN] = self._values(found["path_params"], scope["query_string"])
        return match, found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if foreseen(scope):
            await self.answer(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Of a request that is `foreseen`. Raises what guards and endpoint raise."""
        request = Request(scope, receive, send)
        arguments = {**scope[_FORESEEN]}
        if self.dependant.request_param_name is not None:
            arguments[self.dependant.request_param_name] = request
        for name, call in self._calls:
            given = await call(request)
            if name is not None:
                arguments[name] = given
        answer = await self.endpoint(**arguments)
        response = answer if isinstance(answer, Response) else await self._rendered(answer)
        await response(scope, receive, send)

    async def _rendered(self, answer: Any) -> Response:
        """As FastAPI would: validated and serialised by the declared model."""
        body = await serialize_response(
            field=self.response_field,
            response_content=answer,
            include=self.response_model_include,
            exclude=self.response_model_exclude,
            by_alias=self.response_model_by_alias,
            exclude_unset=self.response_model_exclude_unset,
            exclude_defaults=self.response_model_exclude_defaults,
            exclude_none=self.response_model_exclude_none,
            dump_json=True,
        )
        return Response(body, self._status, media_type=JSON)

    def _values(self, path: Mapping[str, Any], query: bytes) -> dict[str, Any] | None:
        """The arguments that the address holds; None where one is not valid."""
        values = self._query(query) if query else self._defaults
        return None if values is None else self._path(path, values)

    def _query(self, given: bytes) -> dict[str, Any] | None:
        values, errors = request_params_to_args(self.dependant.query_params, QueryParams(given))
        return None if errors else values

    def _path(self, given: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any] | None:
        values = {**others}
        for field in self.dependant.path_params:
            values[field.name], errors = field.validate(given.get(field.alias), loc=("path", field.alias))
            if errors:
                return None
        return values


def foreseen(scope: Scope) -> bool:
    """Whether the matched route is direct and its plan holds for this request."""
    return scope.get(_FORESEEN) is not None


def unforeseen(route: APIRoute) -> str | None:
    """Why a plan made at the start can't gather what an operation needs; None where it can."""
    declared = route.dependant
    for dependency in declared.dependencies:
        if not _takes_the_request_alone(dependency):
            return f"{dependency.name} needs more than the request"
    if declared.body_params or declared.header_params or declared.cookie_params:
        return "a direct operation has only parameters of its path and query"
    if declared.response_param_name or declared.background_tasks_param_name or declared.security_scopes_param_name:
        return "it needs what FastAPI makes for each request"
    if not _is_async(route.endpoint):
        return "it is not a coroutine function"
    returned = route.response_field is not None or _returns_a_response(route)
    return None if returned and isinstance(route.response_class, DefaultPlaceholder) else "what it returns is not JSON"


def _returns_a_response(route: APIRoute) -> bool:
    returned = inspect.signature(route.endpoint).return_annotation
    return isinstance(returned, type) and issubclass(returned, Response)


def _takes_the_request_alone(dependency: Dependant) -> bool:
    others = (
        dependency.dependencies,
        dependency.path_params,
        dependency.query_params,
        dependency.header_params,
        dependency.cookie_params,
        dependency.body_params,
        dependency.response_param_name,
        dependency.background_tasks_param_name,
        dependency.security_scopes_param_name,
    )
    return dependency.request_param_name == "request" and _is_async(dependency.call) and not any(others)


def _is_async(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004  the method is meant
