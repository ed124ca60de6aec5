"""Python's garbage collector while the application loads: what loading makes stays, so walking it is lost time."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """No collection inside; `./dev bench health` shows the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def spare() -> None:
    """What stands now is never walked again; a full collection that did held every request up (90 ms)."""
    gc.collect()
    gc.freeze()
