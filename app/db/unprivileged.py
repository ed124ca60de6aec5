"""The system user that the embedded server runs as where root starts it, and its way to the files."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path


def unprivileged(name: str) -> pwd.struct_passwd:
    """The system user the server runs as; made if missing, `nobody` where none can be made."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd:
        subprocess.run(  # noqa: S603
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
            check=False,
            capture_output=True,
        )
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return pwd.getpwnam("nobody")


def let_through(path: Path) -> None:
    """Lets others pass (not list) the folders above `path` that are ours: the server's user must reach its files."""
    for folder in (path, *path.parents):
        state = folder.stat()
        if state.st_uid == os.geteuid() and not state.st_mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(state.st_mode) | stat.S_IXOTH)
