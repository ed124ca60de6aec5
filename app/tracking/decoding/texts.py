"""What a text may hold, looked at for a whole column at once.

Refused are control characters (U+0000 to U+001F), which neither the database nor a log takes well, and lone surrogates.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from app.tracking.batch import Text

MAX_ID = 128  # characters
MAX_NAME = 128  # of a feature or a class
MAX_SEGMENT = 64  # of a segment's key or value
MAX_VALUE = 1024  # of a category

_SPACE = 0x20
_FEW = 512  # bytes up to which Python's own minimum is quicker than an array's
_FREE = str.maketrans("", "", "\t\n")  # a category may be free text, and that has lines


def flaw(text: str, longest: int, *, free: bool = False) -> tuple[str, str] | None:
    """Code and message of what is wrong with a text, None for nothing. `free` text may have tabs and line feeds."""
    if len(text) > longest:
        return "too_long", f"must have at most {longest:,} characters"
    if not text and not free:
        return "empty", "must not be empty"
    if text.isprintable():
        return None
    if any(character < " " for character in (text.translate(_FREE) if free else text)):
        return "control_character", "must not hold control characters"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "surrogate", "holds half of a surrogate pair"
    return None


def flaws(texts: Sequence[str], longest: int, *, free: bool = False) -> Iterator[tuple[int, str, str]]:
    """Index, code and message of each text that is not right; next to nothing where all are."""
    if "".join(texts).isprintable() and all(0 < len(text) <= longest for text in texts):
        return
    for index, text in enumerate(texts):
        if (wrong := flaw(text, longest, free=free)) is not None:
            yield index, *wrong


def suspects(text: Text, longest: int) -> NDArray[np.intp]:
    """Rows that may be empty, too long or hold control characters: none in an ordinary batch; `flaw` tells."""
    n, data = len(text), text.data
    if n == 1 and data:
        return np.arange(0 if len(data) <= longest and min(data) >= _SPACE else 1)
    lengths = np.diff(text.offsets)
    odd = (lengths == 0) | (lengths > longest)
    if data and np.frombuffer(data, np.uint8).min() < _SPACE:
        controls = np.flatnonzero(np.frombuffer(data, np.uint8) < _SPACE)
        odd[np.searchsorted(text.offsets, controls, side="right") - 1] = True
    return np.flatnonzero(odd)
