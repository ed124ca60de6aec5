"""A folder outside pytest's own: that one is closed to others anew whenever a test run starts, also to the system user
under whom an embedded database runs when root tests."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def room(*, in_memory: bool = False) -> Iterator[Path]:
    """`in_memory` where the machine has such a place: for much that is written once and thrown away."""
    memory = Path("/dev/shm")
    where = memory if in_memory and memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="assay-test-", dir=where, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
