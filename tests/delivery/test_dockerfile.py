"""The Dockerfile does what it says: carried out in empty roots, its image serves as nobody, from a read-only root."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.running import free_port
from tests.support.image import Build, Container, Stage, container, inside, instructions
from tests.support.room import room
from tests.support.tools import need, need_root

ROOT = Path(__file__).parents[2]
APT = Path("/etc/apt/sources.list.d/debian.sources")
INSTRUCTIONS = instructions((ROOT / "Dockerfile").read_text())


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    return dict(line.removesuffix(" \\").split("==") for line in lines if "==" in line and not line.startswith(" "))


class TestText:
    def test_hadolint_has_nothing_to_say(self) -> None:
        linter = Path(sys.executable).parent / "hadolint"
        done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")

    def test_what_is_installed_is_what_is_tested(self) -> None:
        ours, image, tests = pins("requirements.lock"), pins("requirements-image.lock"), pins("requirements-dev.lock")
        assert ours.items() <= image.items() <= tests.items()

    def test_every_install_is_checked_against_hashes(self) -> None:
        installs = [step.text for step in INSTRUCTIONS if step.word == "RUN" and "pip install" in step.text]
        assert len(installs) == 2
        assert all("--require-hashes" in text for text in installs)

    def test_the_last_stage_installs_nothing(self) -> None:
        words = [step.word for step in INSTRUCTIONS]
        last = INSTRUCTIONS[len(words) - words[::-1].index("FROM") :]
        for step in last:
            assert not any(tool in step.text for tool in ("apt", "pip", "curl", "ADD")), step


@pytest.fixture(scope="module")
def built() -> Iterator[Stage]:
    """The image, made here; without its bytecode, which takes longer than all the rest."""
    need_root()
    with room(in_memory=True) as folder:
        yield Build(ROOT, folder, BYTECODE="").run()


@pytest.fixture(scope="module")
def served(built: Stage) -> Iterator[Container]:
    with room() as folder:
        folder.chmod(0o755)
        with container(built, folder, ASSAY_PORT=str(free_port())) as running:
            running.wait_until_healthy(60)
            yield running


def can_write(found: os.stat_result, uid: int) -> bool:
    return not stat.S_ISLNK(found.st_mode) and (found.st_uid == uid or bool(found.st_mode & stat.S_IWOTH))


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


class TestImage:
    def test_holds_the_product_and_not_the_repository(self, built: Stage) -> None:
        source = built.root / "opt/assay/src"
        assert {path.name for path in source.iterdir()} == {"app", "migrations"}
        assert not [path for path in source.rglob("*") if path.name in {".env", ".git", "tests"}]
        assert not (built.root / "opt/uv").exists()

    def test_nothing_of_it_can_be_changed_by_its_user(self, built: Stage) -> None:
        uid = int(built.user.split(":")[0])
        theirs = [path for path in built.root.rglob("*") if can_write(path.lstat(), uid)]
        assert theirs == [built.root / "data"]

    def test_serves_as_nobody_with_its_own_database(self, served: Container) -> None:
        assert httpx.get(f"{served.url}/api/v1/system/health").json()["status"] == "healthy"
        told = status(served.first())
        assert set(told["Uid"].split()) == {"10001"}
        assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == 0
        assert told["NoNewPrivs"] == "1"
        assert (served.data / "postgres").is_dir()

    def test_knows_its_version(self, built: Stage) -> None:
        done = subprocess.run(
            inside(built, [*built.entry, "--version"], {}, read_only=True), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def test_runs_nothing_that_lies_in_its_data(self, built: Stage, folder: Path) -> None:
        """Which is the folder it is started in."""
        (folder / "app").mkdir()
        for name in ("app/__init__.py", "urllib.py"):
            (folder / name).write_text("raise SystemExit('a stranger')")
        folder.chmod(0o755)
        for command in ([*built.entry, "--version"], built.health):
            started = inside(built, command, {"/data": folder}, read_only=True)
            done = subprocess.run(started, capture_output=True, text=True, check=False)
            assert "a stranger" not in done.stderr

    def test_ends_in_order(self, served: Container) -> None:
        assert served.health() == 0
        assert served.end() == 0
        assert served.health() != 0
        assert not (served.data / "postgres/postmaster.pid").exists()


@pytest.fixture(scope="module")
def debian() -> Iterator[Path]:
    """A Debian made for this, with a Python and no compiler, as the base image has."""
    need_root()
    debootstrap = need("debootstrap", package="debootstrap")
    mirror = re.search(r"^(?:URIs: |deb )(\S+)", APT.read_text(), re.M)
    assert mirror is not None
    with room(in_memory=True) as folder:
        packages = "ca-certificates,python3,python3-pip,python3-venv"
        made = [debootstrap, "--variant=minbase", f"--include={packages}", "bookworm", folder / "base", mirror.group(1)]
        subprocess.run([*map(str, made)], check=True, stdout=subprocess.DEVNULL)
        for name in ("python", "python3.11"):
            (folder / "base/usr/local/bin" / name).symlink_to("/usr/bin/python3")
        for name in ("resolv.conf", "hosts", "pip.conf", "ssl/certs/ca-certificates.crt"):
            if (Path("/etc") / name).exists():
                shutil.copy2(Path("/etc") / name, folder / "base/etc" / name)
        yield folder / "base"


@pytest.mark.long
class TestOnADebianOfItsOwn:
    """Every step as it stands, bytecode and all; nothing of this machine but its network and its caches."""

    def test_serves(self, debian: Path) -> None:
        with room(in_memory=True) as folder:
            stage = Build(ROOT, folder, base=debian).run()
            assert not [*(stage.root / "usr/bin").glob("*gcc*"), *(stage.root / "usr/bin").glob("cc")]
            assert [*(stage.root / "opt/assay/lib/python3.11/site-packages/fastapi/__pycache__").glob("*.pyc")]
            folder.chmod(0o755)
            with container(stage, folder, ASSAY_PORT=str(free_port())) as running:
                running.wait_until_healthy(60)
                assert set(status(running.first())["Uid"].split()) == {"10001"}
                assert running.end() == 0
