"""The C library's heaps: how many threads get, and what is given back of them. Another library than glibc is left as it
is."""

import contextlib
import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX, mallopt(3)
_ARENAS = 2


def few_heaps() -> None:
    """glibc lets threads have heaps of their own, eight a core, and each keeps the most it ever held. Ours take turns
    in Python anyway, so two do: 4 MiB less after some minutes, and fewer of the steps that look like a leak. Called
    before there are threads."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """glibc keeps what was freed below something that still stands, which after some thousand jobs is as much as 5 MiB
    and after a large one far more. Takes milliseconds, in which other threads may wait for memory."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
