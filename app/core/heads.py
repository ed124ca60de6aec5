"""What is wrong with a request's address and headers, seen before anything below reads them; what of them goes on."""

from collections import Counter
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from app.core.errors import MAX_NAME, InvalidRequest, Place, Problem, pointer
from app.core.http import UntrustedHost

_ONCE = (b"content-type", b"content-encoding", b"transfer-encoding")  # headers that say how a body is read


def given_twice(scope: Scope) -> Problem | None:
    """A header of which one reader would take the first and another the last: whoever checks one can be deceived."""
    counts = Counter(name for name, _ in scope["headers"])
    if counts[b"host"] > 1:
        return UntrustedHost("the request names two hosts")
    for name in _ONCE:
        if counts[name] > 1:
            text = name.decode()
            place = Place(f"/header/{text}", "repeated", "give it once")
            return InvalidRequest(f"{text} is given more than once", places=[place])
    return None


def wrong_address(scope: Scope) -> Problem | None:
    if b"%00" in scope["query_string"] or "\0" in scope["path"]:
        places = [Place(_with_nul(scope), "nul", "holds U+0000; leave %00 out")]
        return InvalidRequest("an address can't hold U+0000", places=places)
    repeated = _repeated(scope["query_string"])
    if repeated is None:
        return None
    place = Place(pointer("query", repeated), "repeated", "give it once")
    return InvalidRequest(f"{repeated[:MAX_NAME]} is given more than once", places=[place])


def _with_nul(scope: Scope) -> str:
    if "\0" in scope["path"]:
        return "/path"
    part = next(part for part in scope["query_string"].split(b"&") if b"%00" in part)
    return pointer("query", _name(part))


def _repeated(query: bytes) -> str | None:
    """A parameter that a query names twice: no operation takes lists, and none should guess which one was meant."""
    if b"&" not in query:
        return None
    names = Counter(_name(part) for part in query.split(b"&") if part)
    return next((name for name, times in names.items() if times > 1), None)


def _name(part: bytes) -> str:
    return unquote_to_bytes(part.partition(b"=")[0]).decode(errors="replace")


def host(value: bytes) -> bytes:
    """The host without its port; an IPv6 address keeps its brackets."""
    if value.startswith(b"["):
        return value.split(b"]", 1)[0].lower() + b"]"
    return value.split(b":", 1)[0].lower()


def with_cookie(scope: Scope, name: bytes | None) -> list[tuple[bytes, bytes]]:
    """The headers with that cookie alone. The framework reads all there are for operations that ask for none, and
    Python before 3.11.10 takes a second for 16 kB of backslashes (CVE-2024-7592), which none of ours has."""
    kept = [(header, value) for header, value in scope["headers"] if header != b"cookie"]
    if name is None:
        return kept
    for header, value in scope["headers"]:
        if header == b"cookie":
            pairs = (pair.strip() for pair in value.split(b";"))
            kept += [(header, pair) for pair in pairs if pair.startswith(name + b"=") and b"\\" not in pair]
    return kept
