"""Who watches over several workers: replaces what dies, gives up only where nothing ever worked, leaves none behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from uvicorn.config import STARTUP_FAILURE

from tests.cli.running import alive
from tests.support.served import wait_for


@contextmanager
def supervised(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.cli.supervised", str(folder)]
    with (folder / "log").open("wb") as sink:
        parent = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
    try:
        yield parent
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()


def serving(folder: Path) -> set[int]:
    numbers = {int(file.name.removeprefix("worker-")) for file in folder.glob("worker-*")}
    return {number for number in numbers if alive(number)}


def begun(folder: Path) -> set[int]:
    wait_for((folder / "ready").exists)
    return serving(folder)


class TestSeveral:
    def test_gives_up_where_no_worker_can_start_and_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "broken").touch()
        with supervised(tmp_path) as parent:
            assert parent.wait(60) == STARTUP_FAILURE
        assert "a worker can't start, so nothing does" in (tmp_path / "log").read_text()

    @pytest.mark.parametrize(
        ("hindrance", "told"), [("broken", "has died or hangs"), ("none-more", "can't be started now")]
    )
    def test_but_not_where_what_is_to_replace_another_cannot(self, tmp_path: Path, hindrance: str, told: str) -> None:
        """What hinders it may pass, and the others serve."""
        with supervised(tmp_path) as parent:
            stays, dies = begun(tmp_path)
            (tmp_path / hindrance).touch()
            os.kill(dies, signal.SIGKILL)
            wait_for(lambda: (tmp_path / "log").read_text().count(told) >= 3)
            assert (parent.poll(), serving(tmp_path)) == (None, {stays})
            (tmp_path / hindrance).unlink()
            wait_for(lambda: len(serving(tmp_path)) == 2)
            parent.terminate()
            assert parent.wait(60) == 0
            assert serving(tmp_path) == set()

    def test_ends_without_a_false_alarm_when_the_terminal_ends_all_at_once(self, tmp_path: Path) -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            folder = tmp_path / number.name
            folder.mkdir()
            with supervised(folder) as parent:
                begun(folder)
                os.killpg(parent.pid, number)
                assert parent.wait(60) == 0
            assert serving(folder) == set()
            assert "has died" not in (folder / "log").read_text()

    def test_none_outlives_it(self, tmp_path: Path) -> None:
        with supervised(tmp_path) as parent:
            begun(tmp_path)
            parent.kill()
            wait_for(lambda: not serving(tmp_path), 10)
