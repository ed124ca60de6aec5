"""What requests ask with: times as RFC 3339 writes them, and no names that mean nothing."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Annotated

from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Cookie, Header, Path
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict
from starlette.datastructures import QueryParams

from app.core.errors import MAX_PLACES

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _rfc3339(given: object) -> object:
    """Pydantic also takes numbers: 2026 would be some minutes of 1970."""
    if isinstance(given, datetime) or (isinstance(given, str) and _TIME.fullmatch(given)):
        return given
    raise ValueError("must be a time with its zone, as 2026-01-01T00:00:00Z (RFC 3339)")


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]


class Asked(BaseModel):
    """Query parameters; unknown ones are refused, also by pages, which are no operations of the API."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


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
