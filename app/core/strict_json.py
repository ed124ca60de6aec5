"""JSON as the standard has it: what Python's reader forgives is refused before anything else sees it."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from app.core.errors import MAX_NAME, InvalidRequest, Place, pointer

MAX_DEPTH = 20
MAX_KEYS = 1000  # of one object
SEARCHED = 256 << 10  # characters; in more the place of what is wrong is not looked for: it would take long
# Also one that doesn't end: every match succeeds, so the text is gone through once, whatever stands in it.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_FINE = frozenset({int, float, bool, type(None)})
_HIGH = re.compile(r"\\u[dD][89a-fA-F]")


class _Flaw(NamedTuple):
    """Of a text."""

    found: re.Pattern[str]
    what: str


_TEXTS = {
    "nul": _Flaw(re.compile("\0"), "U+0000, which can't be stored"),
    "surrogate": _Flaw(re.compile("[\ud800-\udfff]"), "half of a surrogate pair"),
}


class _RefusedError(ValueError):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(body: bytes) -> None:
    """Raises `InvalidRequest` where `body` is not strict JSON that a database can keep.

    Refused: other encodings than UTF-8, NaN and infinities (also by overflow), numbers of more than 4,300 digits,
    lone surrogates, U+0000, repeated or more than 1,000 keys of an object, nesting deeper than 20.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(Place("", "not_utf8", f"the body is not UTF-8 (byte {error.start})")) from error
    try:
        _depth(text)
        value = json.loads(text, parse_constant=_constant, parse_float=_finite, object_pairs_hook=_once)
        if _HIGH.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        if "\\u0000" in text:
            _null(value)
    except _RefusedError as error:
        raise _refusal(_found(text, error.code) or Place("", error.code, str(error))) from error
    except UnicodeEncodeError as error:
        place = _found(text, "surrogate") or Place("", "surrogate", "a text holds half of a surrogate pair")
        raise _refusal(place) from error
    except json.JSONDecodeError as error:
        raise _refusal(Place("", "json_invalid", f"{error.msg} at character {error.pos}")) from error
    except (ValueError, RecursionError) as error:
        raise _refusal(Place("", "json_invalid", "the body is not JSON that can be read")) from error


def _refusal(place: Place) -> InvalidRequest:
    return InvalidRequest("the body is not well-formed JSON", places=[place])


def _depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for mark in re.finditer(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if mark.group() in "[{" else -1
        if depth > MAX_DEPTH:
            raise _RefusedError("too_deep", f"nested deeper than {MAX_DEPTH}")


def _constant(name: str) -> NoReturn:
    raise _RefusedError("not_finite", f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _RefusedError("not_finite", "a number is beyond what a double can hold")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise _RefusedError("too_many_keys", f"an object has more than {MAX_KEYS} keys")
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RefusedError("repeated_key", "an object has the same key twice")
    return members


def _null(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise _RefusedError("nul", "U+0000 can't be stored")
    elif isinstance(value, dict):
        for key, member in value.items():
            _null(key)
            _null(member)
    elif isinstance(value, list):
        for member in value:
            _null(member)


class _Wrong:
    """In place of a number that is none."""

    def __init__(self, message: str) -> None:
        self.message = message


class _Members(list[tuple[str, Any]]):
    """An object as it was written."""


def _found(text: str, code: str) -> Place | None:
    """Where it is: the body is read again, forgivingly. None where that fails
    before, or would take long."""
    if len(text) > SEARCHED:
        return None
    try:
        value = json.loads(text, parse_constant=_not_json, parse_float=_or_wrong, object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        return None
    found = _search(value, code, 0)
    return None if found is None else Place(pointer(*reversed(found[0])), code, found[1])


_Found = tuple[list[str], str]  # the steps to it, the last first, and what it is


def _not_json(name: str) -> _Wrong:
    return _Wrong(f"{name} is not a JSON number")


def _or_wrong(digits: str) -> float | _Wrong:
    return float(digits) if math.isfinite(float(digits)) else _Wrong("a number is beyond what a double can hold")


def _search(value: Any, code: str, depth: int) -> _Found | None:
    """The first of its kind. Steps are gathered on the way back: of a large body most lead nowhere."""
    if isinstance(value, _Wrong):
        return ([], value.message) if code == "not_finite" else None
    if isinstance(value, str):
        return ([], f"the text holds {_TEXTS[code].what}") if _holds(value, code) else None
    if depth == MAX_DEPTH:
        return ([], f"nested deeper than {MAX_DEPTH}") if code == "too_deep" else None
    if isinstance(value, _Members):
        return _own(value, code) or _inside(value, code, depth)
    return _inside(enumerate(value), code, depth)


def _inside(members: Iterable[tuple[Any, Any]], code: str, depth: int) -> _Found | None:
    for name, member in members:
        if type(member) not in _FINE:
            found = _search(member, code, depth + 1)
            if found is not None:
                found[0].append(str(name))
                return found
    return None


def _own(members: _Members, code: str) -> _Found | None:
    """What is wrong with an object's keys."""
    if code == "too_many_keys":
        return ([], f"an object has more than {MAX_KEYS} keys") if len(members) > MAX_KEYS else None
    if code in _TEXTS:
        wrong = next((key for key, _ in members if _holds(key, code)), None)
        return None if wrong is None else ([wrong], f"the key holds {_TEXTS[code].what}")
    if code == "repeated_key" and len(dict(members)) < len(members):
        twice = next(key for key, times in Counter(key for key, _ in members).items() if times > 1)
        return [twice], f"an object has the same key twice: {twice[:MAX_NAME]}"
    return None


def _holds(text: str, code: str) -> bool:
    return code in _TEXTS and _TEXTS[code].found.search(text) is not None
