"""A folder outside pytest's own: that one is closed to others anew whenever a test run starts, also to the system user
under whom an embedded database runs when root tests."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def room() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="assay-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
