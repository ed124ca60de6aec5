"""The query parameters of operations: which each declares, and the refusal of others."""

from collections.abc import Collection

from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Cookie, Header, Path
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams

from app.core.errors import MAX_PLACES


def names_of(route: APIRoute) -> frozenset[str]:
    """The query parameters that an operation declares."""
    found = get_flat_params(route.dependant)  # of a model of query parameters, such as `Asked`, its plain fields
    return frozenset(each.alias for each in found if not isinstance(each.field_info, Cookie | Header | Path))


def unknown(query: bytes, known: Collection[str]) -> list[str]:
    """The names in a query, read as FastAPI reads them, that mean nothing."""
    return [name for name in QueryParams(query) if name not in known][:MAX_PLACES]


def refusal(names: Collection[str], known: Collection[str]) -> RequestValidationError:
    """FastAPI passes over what an operation doesn't declare: `?imported=true` would be an ordinary send, and
    `?dry_run=true` would delete."""
    more = {"type": "extra_forbidden", "msg": "is not known here", "ctx": {"known": ", ".join(sorted(known))}}
    return RequestValidationError([{"loc": ("query", name), **more} for name in names])
