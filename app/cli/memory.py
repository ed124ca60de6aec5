"""Memory of a process that serves: Python's garbage collector while the application loads (what loading makes stays,
so walking it is lost time), and the C library's heaps."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator

_ARENA_MAX = -8  # M_ARENA_MAX, mallopt(3)
_ARENAS = 2


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


def few_heaps() -> None:
    """glibc lets threads have heaps of their own, eight a core, and each keeps the most it ever held. Ours take turns
    in Python anyway, so two do: 4 MiB less after some minutes, and fewer of the steps that look like a leak. Called
    before there are threads; another C library has one heap."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
