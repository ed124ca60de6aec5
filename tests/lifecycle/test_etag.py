"""What `If-Match` says of a lifecycle revision."""

import pytest

from app.lifecycle.etag import etag, matches


@pytest.mark.parametrize(
    ("if_match", "meant"),
    [
        ('"7"', True),
        ('"6", "7"', True),  # a list: any of them
        ("*", True),  # whatever there is
        (" * ", True),
        ('W/"7"', False),  # a weak tag is never enough to write upon
        ('W/"7", "7"', True),
        ("7", False),  # not a tag
        ('"77"', False),
        ('""', False),
        ("", False),
    ],
)
def test_if_match(if_match: str, meant: bool) -> None:
    assert matches(if_match, 7) is meant


def test_a_tag_matches_itself() -> None:
    assert matches(etag(12), 12)
