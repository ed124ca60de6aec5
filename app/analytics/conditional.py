"""Answers with an ETag: the same question in the same state is answered 304 without work."""

import hashlib
import re
from typing import Annotated, Any

import msgspec
from fastapi import Header, Request, Response

from app.core.headers import carrying

JSON = "application/json"
IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="the `ETag` of an answer that the client has: 304 while it still holds"),
]
UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Unchanged since the ETag in `If-None-Match`", **carrying("ETag")}
}
_TAG = re.compile(r'"([^"]*)"')  # without the `W/` before it


def tag(request: Request, *state: str) -> str:
    """Weak, because `as_of` moves on while nothing else does. The address with its query is part of it."""
    text = "\0".join((request.url.path, request.url.query, *state))
    return f'W/"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'


def unchanged(if_none_match: str | None, etag: str) -> Response | None:
    """304 where the client has this state already, else None."""
    if if_none_match is None or not matches(if_none_match, etag):
        return None
    return Response(status_code=304, headers=headers(etag))


def matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison: a `W/` makes no difference, proxies leave it out; `*` is whatever there is (RFC 9110, 13.1.2).

    >>> [matches(text, 'W/"a"') for text in ('W/"a"', '"a"', '"b", "a"', "*", '"b"', "a", "")]
    [True, True, True, True, False, False, False]
    """
    return if_none_match.strip() == "*" or _TAG.findall(etag)[0] in _TAG.findall(if_none_match)


def answered(body: Any, etag: str) -> Response:
    """msgspec writes a series ten times as fast as a validating model would."""
    return Response(msgspec.json.encode(body), media_type=JSON, headers=headers(etag))


def headers(etag: str) -> dict[str, str]:
    """A browser may keep it for its one user, and must ask each time whether it still holds."""
    return {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
