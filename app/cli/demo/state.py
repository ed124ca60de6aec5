"""Where the demo is, in a file only its owner can read (it holds the demo's API key)."""

import os
from pathlib import Path

import msgspec

from app.core.clock import DAY

WEEK = 7 * DAY
FILE = "state.json"


class State(msgspec.Struct):
    """`shift_us` moves the year to end before now; fixed at the first start, so that every flight keeps its times."""

    shift_us: int
    position_us: int  # everything before this moment (of the shifted year) has been sent
    key: str = ""  # API key of the demo


def whole_weeks(last_us: int, now_us: int) -> int:
    """The shift by which `last_us` comes to lie in the last week before now; weekdays and hours stay."""
    return (now_us - last_us) // WEEK * WEEK


def read(folder: Path) -> State | None:
    """None where no demo was begun, or its file is broken."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write(folder: Path, state: State) -> None:
    """A crash leaves the old or the new state, whole."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = folder / f"{FILE}.new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(state))
    fresh.replace(folder / FILE)
