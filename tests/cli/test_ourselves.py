"""What starts our code, in a folder that has an `app` of its own: that one does not run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.ourselves import CODE

STRANGER = "raise SystemExit('a stranger')"
VERSION = """
import subprocess, sys
from app.cli import ourselves
subprocess.run(ourselves.command("app.cli", "--version"), cwd=sys.argv[1], check=True)
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere/app").mkdir(parents=True)
    for name in ("app/__init__.py", "runpy.py", "typer.py"):
        (tmp_path / "elsewhere" / name).write_text(STRANGER)
    return tmp_path / "elsewhere"


def test_a_process_is_of_the_same_code_as_who_starts_it(tmp_path: Path, elsewhere: Path) -> None:
    """Also where that is another checkout than the one that is installed."""
    checkout = tmp_path / "checkout"
    shutil.copytree(CODE / "app", checkout / "app", ignore=shutil.ignore_patterns("__pycache__", "web"))
    package = checkout / "app/__init__.py"
    package.write_text(re.sub(r'__version__ = ".*"', '__version__ = "of this checkout"', package.read_text()))
    started = [sys.executable, "-c", VERSION, str(elsewhere)]
    done = subprocess.run(started, cwd=checkout, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("of this checkout\n", 0), done.stderr


def test_the_command_that_dev_makes_is_of_its_checkout(tmp_path: Path, elsewhere: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "app").mkdir(parents=True)
    (checkout / "app/cli.py").write_text("print('ours')")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    link = re.search(r"^link\(\) \{.*?^\}", (CODE / "dev").read_text(), re.M | re.S)
    assert link is not None
    script = f"set -eu; venv=.venv; python=$venv/bin/python; {link.group()}; link"
    subprocess.run(["sh", "-c", script], cwd=checkout, check=True)
    done = subprocess.run([checkout / ".venv/bin/assay"], cwd=elsewhere, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("ours\n", 0), done.stderr
