"""The headers that answers carry, as the OpenAPI document tells them: said once, and referred to by name."""

from typing import Any

_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}
_TIGHTEST = "of the limit that is used up soonest"
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {"description": "names the request in the log", "schema": _TEXT},
    "ETag": {
        "description": "names the state that the answer shows, for `If-Match` or `If-None-Match`",
        "schema": _TEXT,
        "example": '"4"',
    },
    "Idempotency-Replayed": {
        "description": "`true`: the answer is that of the first request with this `Idempotency-Key`",
        "schema": {"const": "true"},
    },
    "Retry-After": {"description": "seconds after which to ask again", "schema": _NUMBER, "example": 1},
    "WWW-Authenticate": {"description": "how to say who asks", "schema": _TEXT, "example": 'Bearer realm="assay"'},
    "RateLimit-Policy": {
        "description": "the limits that hold here, where limits are on: `q` in `w` seconds",
        "schema": _TEXT,
        "example": '"second";q=10;w=1, "minute";q=100;w=60',
    },
    "RateLimit": {
        "description": "what of each is left (`r`), and in how many seconds all of it is (`t`)",
        "schema": _TEXT,
        "example": '"second";r=9;t=1, "minute";r=99;t=60',
    },
    "X-RateLimit-Limit": {"description": f"how much there is {_TIGHTEST}", "schema": _NUMBER},
    "X-RateLimit-Remaining": {"description": f"how much is left {_TIGHTEST}", "schema": _NUMBER},
    "X-RateLimit-Reset": {"description": "when all of it is there again, in seconds since 1970", "schema": _NUMBER},
}
OF_LIMITS = tuple(name for name in HEADERS if "RateLimit" in name)


def carrying(*names: str) -> dict[str, Any]:
    """The `headers` of an answer in the document; those that the document does not tell are HTTP's own.

    >>> carrying("ETag", "Cache-Control")
    {'headers': {'ETag': {'$ref': '#/components/headers/ETag'}}}
    """
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names if name in HEADERS}}
