"""The lifecycle revision as an entity tag, and what `If-Match` says of it (RFC 9110, 13.1.1); pure."""

import re

from app.core.errors import InvalidRequest, Place

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag(revision: int) -> str:
    """
    >>> etag(7)
    '"7"'
    """
    return f'"{revision}"'


def demand_strong(if_match: str) -> None:
    """Refuses what can't match, whatever the revision: a client that reads the status again and tries anew, as a 412
    tells it, would do so for ever."""
    if if_match.strip() == "*":
        return
    strong = any(not weak for weak, _ in _TAG.findall(if_match))
    if not strong or _TAG.sub("", if_match).strip(" \t,"):
        message = 'must be the ETag as the status has it, in quotes and without W/, such as "7"'
        raise InvalidRequest(
            "If-Match is no strong entity tag", places=[Place("/header/if-match", "not_a_strong_tag", message)]
        )


def matches(if_match: str, revision: int) -> bool:
    """Strong comparison: a weak tag never matches; `*` matches whatever there is.

    >>> [matches(text, 7) for text in ('"7"', '"6", "7"', '*', 'W/"7"', '7', '"6"')]
    [True, True, True, False, False, False]
    """
    if if_match.strip() == "*":
        return True
    return any(not weak and tag == str(revision) for weak, tag in _TAG.findall(if_match))
