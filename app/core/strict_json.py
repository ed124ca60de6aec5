"""JSON as the standard has it: what Python's reader forgives is refused before anything else sees it."""

import json
import math
import re
from typing import Any, NoReturn

from app.core.errors import InvalidRequest, Place

MAX_DEPTH = 20
MAX_KEYS = 1000  # of one object
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_HIGH = re.compile(r"\\u[dD][89a-fA-F]")


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
        _depth(text)
        value = json.loads(text, parse_constant=_constant, parse_float=_finite, object_pairs_hook=_once)
        if _HIGH.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        if "\\u0000" in text:
            _null(value)
    except _RefusedError as error:
        raise _refusal(error.code, str(error)) from error
    except UnicodeDecodeError as error:
        raise _refusal("not_utf8", f"the body is not UTF-8 (byte {error.start})") from error
    except UnicodeEncodeError as error:
        raise _refusal("surrogate", "a text holds half of a surrogate pair") from error
    except json.JSONDecodeError as error:
        raise _refusal("json_invalid", f"{error.msg} at character {error.pos}") from error
    except (ValueError, RecursionError) as error:
        raise _refusal("json_invalid", "the body is not JSON that can be read") from error


def _refusal(code: str, message: str) -> InvalidRequest:
    return InvalidRequest("the body is not well-formed JSON", places=[Place("", code, message)])


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
