"""Who is on a data directory, and who of them keeps its server: two locks, which the kernel gives back however a
process ends. All share the first, so that the last to leave knows it is; one holds the second."""

import fcntl
from pathlib import Path
from typing import IO


class Presence:
    """Of one process. Nothing here waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shared: IO[bytes] | None = None
        self._own: IO[bytes] | None = None

    @property
    def owner(self) -> bool:
        return self._own is not None

    def enter(self) -> bool:
        """False while the last one is leaving."""
        if self._shared is None:
            self._shared = _locked(self._folder / "postgres.present", fcntl.LOCK_SH)
        return self._shared is not None

    def own(self) -> bool:
        """Whether we are the owner, from now on if nobody was."""
        if self._own is None:
            self._own = _locked(self._folder / "postgres.lock", fcntl.LOCK_EX)
        return self._own is not None

    def last(self) -> bool:
        """To leave: whether nobody else is here. If so, nobody enters before `leave`; of several, one is told so."""
        return self._shared is not None and _hold(self._shared, fcntl.LOCK_EX)

    def leave(self) -> None:
        for lock in (self._own, self._shared):
            if lock is not None:
                lock.close()
        self._own = self._shared = None


def _locked(path: Path, how: int) -> IO[bytes] | None:
    handle = path.open("ab")
    if _hold(handle, how):
        return handle
    handle.close()
    return None


def _hold(handle: IO[bytes], how: int) -> bool:
    """What was held is given back first, so of two that want the same alone, who asks later gets it."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
