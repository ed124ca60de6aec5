"""What tests of the outermost layer begin with."""

import pytest

from app.core import logs
from app.core.edge import Gate
from app.core.settings import LogSettings


@pytest.fixture
def gate() -> Gate:
    """Open, and what is logged goes where it goes in the product."""
    logs.configure(LogSettings())
    opened = Gate()
    opened.open()
    return opened
