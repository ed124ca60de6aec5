"""The documentation's examples are answers that the service could give."""

import pytest
from pydantic import TypeAdapter

from app.analytics import examples
from app.analytics.answers import Board, Summary, Trend


@pytest.mark.parametrize(
    ("kind", "example"), [(Trend, examples.TREND), (Summary, examples.SUMMARY), (Board, examples.BOARD)]
)
def test_fits_its_type_and_leaves_nothing_out(kind: type, example: dict[str, object]) -> None:
    adapter = TypeAdapter(kind)
    assert adapter.dump_python(adapter.validate_python(example)) == example
