"""Ending in order: the first SIGTERM or Ctrl-C unwinds the command, so that what it started ends with it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def in_order() -> Iterator[None]:
    """Inside, both signals raise `SystemExit(0)` once; later ones don't disturb the cleaning up that this begins."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(0)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
