"""Operations that are asked thousands of times a second: their arguments are gathered by a plan made at the start.

FastAPI solves an operation's dependencies anew for every request, which costs more than taking a row in. Here the same
declarations are read once. Whatever the plan does not foresee (a query, a path that does not validate) goes FastAPI's
way, so answers, documents and guards are the same.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """The endpoint answers with a `Response`; its dependencies are async, and take the request alone."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        declared = self.dependant
        for dependency in declared.dependencies:
            if not _takes_the_request_alone(dependency):
                raise TypeError(f"{endpoint.__name__}: {dependency.name} needs more than the request")
        if declared.body_params or declared.header_params or declared.cookie_params:
            raise TypeError(f"{endpoint.__name__}: a direct operation has only parameters of its path and query")
        self._calls: list[tuple[str, Any]] = [(str(each.name), each.call) for each in declared.dependencies]
        self._defaults = {field.name: field.get_default() for field in declared.query_params}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._path(scope["path_params"])
        if scope["query_string"] or path is None or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive, send)
        arguments = self._defaults | path
        if self.dependant.request_param_name is not None:
            arguments[self.dependant.request_param_name] = request
        for name, call in self._calls:
            arguments[name] = await call(request)
        response = await self.endpoint(**arguments)
        await response(scope, receive, send)

    def _path(self, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """The path's values; None where one is not valid."""
        values = {}
        for field in self.dependant.path_params:
            values[field.name], errors = field.validate(given.get(field.alias), loc=("path", field.alias))
            if errors:
                return None
        return values


def _takes_the_request_alone(dependency: Dependant) -> bool:
    others = (
        dependency.dependencies,
        dependency.path_params,
        dependency.query_params,
        dependency.header_params,
        dependency.cookie_params,
        dependency.body_params,
    )
    return dependency.name is not None and dependency.request_param_name == "request" and not any(others)
