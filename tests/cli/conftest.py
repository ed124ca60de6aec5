from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.room import room


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a command may keep an embedded database."""
    with room() as path:
        yield path
