"""What `If-Match` says of a lifecycle revision."""

import pytest

from app.core.errors import InvalidRequest
from app.lifecycle.etag import demand_strong, etag, matches


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


@pytest.mark.parametrize("if_match", ['"7"', '"6", "7"', '"6","7",', "*", " * ", 'W/"7", "7"', '""', '"a",' * 9])
def test_what_could_match_is_taken(if_match: str) -> None:
    demand_strong(if_match)


@pytest.mark.parametrize("if_match", ["7", 'W/"7"', 'w/"7"', "", '"7', '"7" x', "*, *", '"\x00"'])
def test_what_never_can_is_refused_with_the_form_there_is(if_match: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        demand_strong(if_match)
    assert [place.pointer for place in refusal.value.places] == ["/header/if-match"]
    assert '"7"' in refusal.value.places[0].message
