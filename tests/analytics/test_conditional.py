"""What `If-None-Match` says of an answer that did not change."""

import pytest

from app.analytics.conditional import matches


@pytest.mark.parametrize(
    ("if_none_match", "meant"),
    [
        ('W/"a1"', True),
        ('"a1"', True),  # a cache left the W/ out; the comparison is weak
        ('"b2", W/"a1"', True),  # a list: any of them
        ('"b2",W/"a1"', True),
        ("*", True),  # whatever there is
        (" * ", True),
        ('W/"b2"', False),
        ('W/"a1b2"', False),
        ("a1", False),  # not a tag
        ('"*"', False),  # a tag like another
        ('""', False),
        ('"', False),
        ("", False),
    ],
)
def test_if_none_match(if_none_match: str, meant: bool) -> None:
    assert matches(if_none_match, 'W/"a1"') is meant
