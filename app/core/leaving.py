"""Hearing of the end before the web server waits for it.

The server waits for open requests before it ends the application's lifespan; a stream that goes on for minutes must
therefore be told by the signal itself.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_of_the_end(tell: Callable[[], None]) -> Iterator[None]:
    """Inside, both signals call `tell` first and then whoever listened before. Outside the main thread: nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def heard(number: int, frame: FrameType | None) -> None:
        tell()
        listener = before[signal.Signals(number)]
        if callable(listener):
            listener(number, frame)

    listened = {number: listener for number, listener in before.items() if callable(listener)}
    for number in listened:
        signal.signal(number, heard)
    try:
        yield
    finally:
        for number, listener in listened.items():
            if signal.getsignal(number) is heard:
                signal.signal(number, listener)
