"""Ending in order: the first SIGTERM, Ctrl-C or end of the terminal unwinds the command, so that what it started ends
with it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def in_order() -> Iterator[None]:
    """Inside, both signals raise `SystemExit(0)` once; later ones don't disturb the cleaning up that this begins. That
    the terminal is gone (SIGHUP) is a SIGTERM to us, unless we were told not to mind (nohup)."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(0)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        before[signal.SIGHUP] = signal.signal(
            signal.SIGHUP, lambda _number, _frame: signal.raise_signal(signal.SIGTERM)
        )
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
