"""How far an import came, in a file beside the one imported; what was sent before the journal knew it is sent again,
harmlessly: the tracker knows every id."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

SUFFIX = ".assay-import.json"
_CHUNK = 1 << 20


def fingerprint(path: Path) -> str:
    """SHA-256 of the file's content: another content is another import."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(slots=True)
class Progress:
    """Rows acknowledged from the start of the file, and what became of them."""

    rows: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, rows: int, answer: dict[str, Any]) -> None:
        """Takes in the answer to one request."""
        self.rows += rows
        for name, value in answer.items():
            number = len(value) if isinstance(value, list) else value
            if isinstance(number, int):
                self.counts[name] = self.counts.get(name, 0) + number


class Journal:
    """The progress of one file; several targets of the same file have an entry each."""

    def __init__(self, file: Path, key: str) -> None:
        self.path = file.with_name(file.name + SUFFIX)
        self._key = key

    def read(self) -> Progress:
        """From the start where there is no journal, or none of this content and target."""
        entry = self._entries().get(self._key)
        return msgspec.convert(entry, Progress) if entry else Progress()

    def write(self, progress: Progress) -> None:
        """Durable when it returns: a crash leaves the old or the new journal, whole."""
        content = msgspec.json.encode({**self._entries(), self._key: progress})
        fresh = self.path.with_name(self.path.name + ".new")
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def forget(self) -> None:
        """Starts this target again."""
        self.write(Progress())

    def _entries(self) -> dict[str, Any]:
        try:
            entries = msgspec.json.decode(self.path.read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):
            return {}
        return entries if isinstance(entries, dict) else {}


def key(*parts: str) -> str:
    """One target: content, server, model, kind of rows and the columns they come from."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
