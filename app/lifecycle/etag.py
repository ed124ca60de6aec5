"""The lifecycle revision as an entity tag, and what `If-Match` says of it (RFC 9110, 13.1.1); pure."""

import re

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag(revision: int) -> str:
    """
    >>> etag(7)
    '"7"'
    """
    return f'"{revision}"'


def matches(if_match: str, revision: int) -> bool:
    """Strong comparison: a weak tag never matches; `*` matches whatever there is.

    >>> [matches(text, 7) for text in ('"7"', '"6", "7"', '*', 'W/"7"', '7', '"6"')]
    [True, True, True, False, False, False]
    """
    if if_match.strip() == "*":
        return True
    return any(not weak and tag == str(revision) for weak, tag in _TAG.findall(if_match))
