"""A data directory that is no folder, or not ours: a line that names it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from tests.cli.running import clean_environment
from tests.support.tools import need

SOMEBODY = 65_534


def typed(command: str, **environment: str) -> str:
    """The one line that it says."""
    environment |= {"ASSAY_PORT": "0", "COLUMNS": "1000"}
    done = CliRunner().invoke(cli, command.split(), env=environment, catch_exceptions=False)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    return line


class TestFile:
    @pytest.mark.parametrize("command", ["serve", "run --no-demo", "migrate", "demo"])
    @pytest.mark.parametrize("below", ["", "below"])
    def test_is_no_folder(self, tmp_path: Path, command: str, below: str) -> None:
        file = tmp_path / "file"
        file.touch()
        said = typed(command, ASSAY_DATA_DIR=str(file / below))
        assert said.startswith(
            f"error: the data directory {file / below} can't be used: {file} is a file. Set ASSAY_DATA"
        )

    def test_also_by_another_name(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "file")
        (tmp_path / "file").touch()
        assert f"{tmp_path / 'file'} is a file" in typed("serve", ASSAY_DATA_DIR=str(tmp_path / "link"))

    @pytest.mark.parametrize("command", ["serve", "user list", "audit close"])
    def test_also_where_only_the_secret_would_be_kept_there(
        self, tmp_path: Path, database_url: str, command: str
    ) -> None:
        file = tmp_path / "file"
        file.touch()
        said = typed(command, ASSAY_DATA_DIR=str(file), ASSAY_DATABASE__URL=database_url)
        assert said.startswith(f"error: the data directory {file} can't be used: {file} is a file. Set ASSAY_DATA_DIR")


class TestPermission:
    @pytest.fixture
    def closed(self, folder: Path) -> Iterator[Path]:
        """One with a database, which whoever runs the test may not write to; where that is root, it is somebody's."""
        data = folder / "data"
        (data / "postgres").mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(data, SOMEBODY, SOMEBODY)
        data.chmod(0o500 if os.geteuid() else 0o700)
        yield data
        data.chmod(0o700)

    @pytest.mark.parametrize("command", ["serve", "run", "worker", "user list", "demo"])
    def test_is_missing(self, closed: Path, command: str) -> None:
        done = completed_without_power(command, ASSAY_DATA_DIR=str(closed), ASSAY_PORT="0")
        assert done.returncode == 1, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: the data directory {closed} can't be used: ")
        assert "ASSAY_DATA_DIR" in line
        if os.geteuid() == 0:
            assert f"Permission denied; {closed} belongs to nobody, and this is root" in line


def completed_without_power(command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """As a user who may not simply write everywhere."""
    powerless: list[str] = []
    if os.geteuid() == 0:
        setpriv = need("setpriv", package="util-linux")
        powerless = [str(setpriv), "--bounding-set=-dac_override,-dac_read_search"]
    return subprocess.run(
        [*powerless, sys.executable, "-m", "app.cli", *command.split()],
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
