"""A Dockerfile carried out without Docker: each stage in a root folder of its own, by namespaces and chroot.

What the base image would bring is the machine's own Debian and Python, bound in read-only, with its compilers taken
away; or a whole root that was made for it (`base`). Everything else in the root comes from the Dockerfile.
"""

import contextlib
import fnmatch
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
CONFIGURATION = ("nsswitch.conf", "resolv.conf", "hosts", "ssl", "pip.conf", "login.defs")
ACCOUNTS = {  # of an image nobody has added any to
    "passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nshadow:x:42:\nnogroup:x:65534:\n",
    "shadow": "root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n",
}
COMPILERS = (
    "cc",
    "c++",
    "cpp*",
    "gcc*",
    "g++*",
    "*-gcc*",
    "*-g++*",
    "clang*",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "as",
    "make",
    "tcc",
)
REGISTRY = ("PIP_", "UV_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")  # how this machine reaches its registry
END_S = 30.0


@dataclass(frozen=True, slots=True)
class Instruction:
    word: str
    text: str

    def flags(self) -> dict[str, str]:
        return dict(re.findall(r"--([\w-]+)=(\S+)", re.match(r"(?:--\S+\s+)*", self.text).group()))  # type: ignore[union-attr]

    def rest(self) -> str:
        return re.sub(r"^(?:--\S+\s+)+", "", self.text)


@dataclass(slots=True)
class Stage:
    """What a stage has come to: its root and what its commands run with."""

    root: Path
    name: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    health: list[str] = field(default_factory=list)
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def instructions(dockerfile: str) -> list[Instruction]:
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(None, 1)) for line in joined.splitlines() if line.strip()]


class Build:
    """Carries a Dockerfile out in `folder`; `given` are build arguments."""

    def __init__(self, context: Path, folder: Path, *, base: Path | None = None, **given: str) -> None:
        self._context = context
        self._folder = folder
        self._base = base
        self._given = given
        self._ignored = _patterns(context / ".dockerignore")
        self.stages: list[Stage] = []

    def run(self) -> Stage:
        """The last stage, when every instruction was carried out."""
        for instruction in instructions((self._context / "Dockerfile").read_text()):
            getattr(self, f"_{instruction.word.lower()}")(instruction)
        return self._stage

    @property
    def _stage(self) -> Stage:
        return self.stages[-1]

    def _from(self, instruction: Instruction) -> None:
        root = self._folder / f"stage{len(self.stages)}"
        image, *named = instruction.text.split()
        assert image.startswith("python:3.11-slim"), "the base that this machine stands in for"
        self.stages.append(Stage(_empty_root(root, self._base), named[-1] if named else ""))

    def _arg(self, instruction: Instruction) -> None:
        name, _, default = instruction.text.partition("=")
        self._stage.arguments[name] = self._given.get(name, default)

    def _env(self, instruction: Instruction) -> None:
        for pair in shlex.split(instruction.text):
            name, value = pair.split("=", 1)
            self._stage.environment[name] = value

    def _workdir(self, instruction: Instruction) -> None:
        self._stage.folder = instruction.text
        (self._stage.root / instruction.text.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _user(self, instruction: Instruction) -> None:
        self._stage.user = instruction.text

    def _copy(self, instruction: Instruction) -> None:
        *sources, target = instruction.rest().split()
        origin = instruction.flags().get("from")
        into = self._stage.root / os.path.join(self._stage.folder, target).lstrip("/")  # noqa: PTH118
        for source in sources:
            here = next(s.root for s in self.stages if s.name == origin) if origin else self._context
            found = here / source.lstrip("/")
            if found.is_dir():
                copy = os.link if origin else shutil.copy2  # of another stage: it is not touched any more
                ignored = None if origin else self._hidden
                shutil.copytree(found, into, True, ignored, copy, dirs_exist_ok=True)
            else:
                assert not self._is_ignored(source), f"{source} is kept out by .dockerignore"
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy2(found, into)

    def _run(self, instruction: Instruction) -> None:
        cache = dict(pair.split("=", 1) for pair in instruction.flags().get("mount", "").split(",") if pair)
        binds = {}
        if cache:
            assert cache["type"] == "cache"
            binds[cache["target"]] = Path(cache["target"]).expanduser()
        done = subprocess.run(
            inside(self._stage, ["sh", "-c", instruction.rest()], binds), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"RUN {instruction.text}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"

    def _healthcheck(self, instruction: Instruction) -> None:
        self._stage.health = msgspec.json.decode(instruction.rest().removeprefix("CMD").strip())

    def _entrypoint(self, instruction: Instruction) -> None:
        self._stage.entry = msgspec.json.decode(instruction.text)

    def _cmd(self, instruction: Instruction) -> None:
        self._stage.command = msgspec.json.decode(instruction.text)

    def _volume(self, _: Instruction) -> None:
        """Whoever runs it brings it."""

    _expose = _volume

    def _is_ignored(self, path: str) -> bool:
        verdict = False
        for keep, pattern in self._ignored:
            parts = [path, *(str(parent) for parent in Path(path).parents)]
            if any(fnmatch.fnmatch(part, pattern) for part in parts):
                verdict = not keep
        return verdict

    def _hidden(self, folder: str, names: list[str]) -> set[str]:
        inside_context = Path(folder).relative_to(self._context)
        return {name for name in names if self._is_ignored(str(inside_context / name))}


def inside(
    stage: Stage,
    command: Sequence[str],
    binds: Mapping[str, Path],
    *,
    read_only: bool = False,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """A command line that runs `command` in the stage's root, as its user, with nothing of ours but `binds`."""
    root = stage.root
    mounts = ["set -eu", "mount --make-rprivate /", f"mount --bind {root} {root}"]
    for name in (root / ".bound").read_text().split() if (root / ".bound").exists() else ():
        source = sys.base_prefix if name == "usr/local" else f"/{name}"
        mounts.append(f"mount --bind {source} {root}/{name} && mount -o remount,bind,ro {root}/{name}")
    if (root / ".bound").exists():
        mounts += [f"mount --bind /dev/null {root}{path}" for path in _compilers()]
    mounts += [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
    for target, source in binds.items():
        (root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
        source.mkdir(parents=True, exist_ok=True)
        mounts.append(f"mount --bind {source} {root}{target}")
    mounts += [f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp", f"mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm"]
    if read_only:
        mounts.append(f"mount -o remount,bind,ro {root}")
    user, group = stage.user.split(":")
    limits = "" if user == "0" else "--no-new-privs --bounding-set=-all --inh-caps=-all"
    run = f"setpriv --reuid={user} --regid={group} --clear-groups {limits} {shlex.join(command)}"
    mounts.append(
        f"exec chroot {root} /usr/bin/env -i {_variables(stage, environment or {})} "
        f"sh -c {shlex.quote(f'cd {stage.folder} && exec {run}')}"
    )
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(mounts)]


def _variables(stage: Stage, more: Mapping[str, str]) -> str:
    ours = {name: value for name, value in os.environ.items() if name.startswith(REGISTRY)}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    library = {"LD_LIBRARY_PATH": "/usr/local/lib"}  # where this machine's Python looks for itself elsewhere
    given = ours | {"PATH": path, "HOME": "/root"} | library | stage.arguments | stage.environment | dict(more)
    return " ".join(shlex.quote(f"{name}={value}") for name, value in given.items())


def _compilers() -> list[str]:
    folder = Path("/usr/bin")
    found = {path for pattern in COMPILERS for path in folder.glob(pattern) if path.is_file()}
    return sorted({str(path.resolve()) for path in found if path.resolve().is_relative_to("/usr")})


def _empty_root(root: Path, base: Path | None) -> Path:
    """A root with what a base image has. Of the machine's own: places to bind to, and its configuration."""
    if base is not None:
        subprocess.run(["cp", "-a", base, root], check=True)
        return root
    bound = []
    for name in SYSTEM:
        host = Path("/") / name
        if host.is_symlink():
            root.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(host.readlink())
        elif host.is_dir():
            (root / name).mkdir(parents=True)
            bound.append(name)
    (root / ".bound").write_text("\n".join([*bound, "usr/local"]))
    for name in ("proc", "dev", "tmp", "etc", "root", "opt"):
        (root / name).mkdir()
    for name, text in ACCOUNTS.items():
        (root / "etc" / name).write_text(text)
    for name in CONFIGURATION:
        host = Path("/etc") / name
        if host.is_dir():
            shutil.copytree(host, root / "etc" / name, symlinks=True)
        elif host.exists():
            shutil.copy2(host, root / "etc" / name)
    return root


@dataclass(frozen=True, slots=True)
class Container:
    """An image that runs; `health()` is the exit code of its HEALTHCHECK."""

    stage: Stage
    process: subprocess.Popen[bytes]
    data: Path
    log: Path
    environment: dict[str, str]

    def health(self) -> int:
        return subprocess.run(
            inside(self.stage, self.stage.health, {"/data": self.data}, read_only=True, environment=self.environment),
            capture_output=True,
            check=False,
        ).returncode

    def first(self) -> int:
        """The process that is the container's first, seen from here."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def wait_until_healthy(self, seconds: float) -> None:
        """Asks itself until it is, since the image's own way starts a Python each time; then that once."""
        deadline = time.monotonic() + seconds
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)
        assert self.health() == 0

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v1/system/health/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['ASSAY_PORT']}"

    def end(self) -> int:
        """The exit code after the signal that `docker stop` sends."""
        os.kill(self.first(), signal.SIGTERM)
        return self.process.wait(END_S)


@contextlib.contextmanager
def container(stage: Stage, folder: Path, **environment: str) -> Iterator[Container]:
    """Runs the image as a careful operator does: read-only root, no capability, one volume."""
    data, log = folder / "data", folder / "container.log"
    data.mkdir(mode=0o700)
    uid, gid = map(int, stage.user.split(":"))
    os.chown(data, uid, gid)
    command = inside(stage, [*stage.entry, *stage.command], {"/data": data}, read_only=True, environment=environment)
    with log.open("wb") as sink:
        process: Any = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        yield Container(stage, process, data, log, environment)
    finally:
        process.kill()
        process.wait()


def _patterns(file: Path) -> list[tuple[bool, str]]:
    lines = [line.strip() for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [(line.startswith("!"), line.lstrip("!").removeprefix("**/")) for line in lines]
