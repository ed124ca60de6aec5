"""Counters in a mapped file, all of which is on the disk before it is mapped.

A mapped page that a full disk has no room for ends the process by SIGBUS, and prometheus-client maps files that are
mostly holes. Written beforehand, the disk refuses while it can still be heard.
"""

import logging
import mmap
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)

SMALLEST = 1 << 16  # as prometheus-client begins
VALUE = 16  # bytes: two doubles, the value and its time
ENTRY = 4 + 8 + VALUE  # bytes at most, beside the key: its length, what aligns it, and its value


class Allocated(MmapedDict):
    """For one process; others read its file.

    Where there is no room for the file it counts in memory, and nobody is told. Where there is none for more keys,
    these share the file's last place, which nobody reads, until there is: whoever counts holds its value, and writes
    all of it each time.
    """

    def __init__(self, filename: str) -> None:
        self._late: list[str] = []
        super().__init__(filename if _begun(filename) else _in_memory())  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        self._late.append(key)
        while self._late and self._has_room(self._late[0]):
            super()._init_value(self._late.pop(0))  # type: ignore[no-untyped-call]
        if self._late:
            _tell(os.fspath(Path(self._fname).parent))
            place = self._capacity - VALUE
            self._m[place:] = bytes(VALUE)  # a value begins with what it reads here
            self._positions.update(dict.fromkeys(self._late, place))

    def _has_room(self, key: str) -> bool:
        needed = self._used + len(key.encode()) + ENTRY + VALUE
        size = self._capacity
        while size < needed:
            size *= 2
        if size > self._capacity:
            if not _written(self._f.fileno(), bytes(size - self._capacity), self._capacity):
                return False
            self._capacity = size
            self._m = mmap.mmap(self._f.fileno(), size)
        return True


def _begun(filename: str) -> bool:
    """Whether the file has a beginning without holes; what somebody counted into it before stays."""
    file = Path(filename)
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        _tell(os.fspath(file.parent))
        return False
    try:
        content = file.read_bytes()
        if _written(descriptor, content.ljust(SMALLEST, b"\0"), 0):
            return True
        if not content:
            file.unlink()  # a scrape would not know what to do with it
    finally:
        os.close(descriptor)
    _tell(os.fspath(file.parent))
    return False


def _written(descriptor: int, content: bytes, place: int) -> bool:
    """Whether all of it is; otherwise the file is as long as before."""
    before = os.fstat(descriptor).st_size
    with suppress(OSError):
        if os.pwrite(descriptor, content, place) == len(content):
            return True
    os.ftruncate(descriptor, before)
    return False


def _in_memory() -> str:
    return f"/proc/self/fd/{os.memfd_create('assay-metrics')}"


@cache  # once
def _tell(folder: str) -> None:
    logger.warning("no room for metrics in %s: some are counted in memory alone, and not told", folder)
