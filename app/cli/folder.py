"""The data directory as a command may find it: no folder, or one that this user may not write to."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.db.embedded import EmbeddedServerError


class UnusableFolder(EmbeddedServerError):  # noqa: N818
    """The data directory is no folder, or somebody else's; the message says which and whose."""


@contextmanager
def in_folder(data_dir: Path) -> Iterator[None]:
    """What the system says of a file in the data directory, in words that name the folder, its owner and the setting.

    It isn't asked beforehand: with a database elsewhere and a secret that is given, nothing is written there.
    """
    try:
        yield
    except OSError as error:
        folder = Path(os.path.realpath(data_dir))  # as the embedded server names it
        if not _is_about(error, folder):
            raise
        raise UnusableFolder(
            f"the data directory {folder} can't be used: {_said(error, folder)}. "
            "Set ASSAY_DATA_DIR=… to a folder that this user may write to"
        ) from error


def _is_about(error: OSError, folder: Path) -> bool:
    """Of a file in the folder, or of one above it that had to be made."""
    if not isinstance(error.filename, str):
        return False
    file = Path(os.path.realpath(error.filename))
    return file.is_relative_to(folder) or folder.is_relative_to(file)


def _said(error: OSError, folder: Path) -> str:
    """The system's words; and whose the folder is, or the nearest one above it, where they are about that."""
    words = f"{error.filename}: {error.strerror}"
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        owner, ours = there.stat().st_uid, os.geteuid()
        if not there.is_dir():
            return f"{there} is a file"
    except OSError:
        return words
    if not isinstance(error, PermissionError) or owner == ours:
        return words
    return f"{words}; {there} belongs to {_user(owner)}, and this is {_user(ours)}"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container
        return f"user {number}"
