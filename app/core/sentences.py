"""What Pydantic finds wrong, in words for people: what must stand there, never what stands there."""

from collections.abc import Mapping
from typing import Any

from app.core import emails

_WHOLE = "must be a whole number"
_TIME = "must be a time that the calendar has, as 2026-01-01T00:00:00Z"
_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "string_type": "must be text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} {things}",
    "too_long": "must have at most {max_length} {things}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "timezone_aware": "must be a time with its zone, as 2026-01-01T00:00:00Z",
    "value_error": "{error}",  # of our own validators
}
_THINGS = {"List": "entries", "Dictionary": "members", "Value": "characters"}  # a value that is measured is a secret's
_ONE = {" 1 entries": " 1 entry", " 1 members": " 1 member", " 1 characters": " 1 character"}
_PRINTABLE = "must not hold control characters"
_NAME = "must be 1 to {} letters, digits, dots, hyphens and underscores, the first a letter or digit"

PATTERNS = {
    emails.PATTERN: "must be an e-mail address, as ada@example.com",
    r"^[^\x00-\x1f\x7f]+$": _PRINTABLE,
    r"^[^\x00-\x1f\x7f]*$": _PRINTABLE,
    r"^[^\x00]+$": "must not hold U+0000",
    r"^[\x21-\x7e]+$": "must be visible ASCII characters without spaces",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$": _NAME.format(128),
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": _NAME.format(64),
    r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$": _NAME.format(128).replace("dots,", "dots, pluses,"),
    r"^[a-z][a-z0-9_-]{0,63}$": "must be 1 to 64 small letters, digits, hyphens and underscores, the first a letter",
    r"^[a-z][a-z0-9_]{0,63}$": "must be 1 to 64 small letters, digits and underscores, the first a letter",
    r"^[a-z0-9_]+(,[a-z0-9_]+){0,15}$": "must be 1 to 16 names with a comma between them",
    r"^[a-z_.]+$": "must be small letters, dots and underscores",
    r"^[a-z2-7]{12}$": "must be a key's id: 12 of the characters a to z and 2 to 7",
    r"^[^:]{1,128}:": "must be key:value",
}
"""What each pattern of our schemas means; a test holds that none is left out."""


def sentence(finding: Mapping[str, Any]) -> str:
    """
    >>> sentence({"type": "string_too_short", "ctx": {"min_length": 1}})
    'must have at least 1 character'
    """
    context = finding.get("ctx", {})
    if finding["type"] == "string_pattern_mismatch":
        return PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
    form = _SENTENCES.get(finding["type"])
    if form is None:
        return str(finding["msg"])
    said = form.format(**context, things=_THINGS.get(context.get("field_type", ""), "entries"))
    for several, one in _ONE.items():
        said = said.replace(several, one)
    return said if "known" not in context else f"{said}; this operation knows {context['known'] or 'none'}"
