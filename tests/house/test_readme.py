"""README.md is true: its commands run as they stand, its links lead somewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cli.running import Running, clean_environment
from tests.support.room import room
from tests.support.served import EMAIL, PASSWORD, ServedProduct
from tests.support.tools import need

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS: list[str] = re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)
OTHERS = [block for block in BLOCKS if "./dev " not in block]
VERBS = re.findall(r"^\./dev (\w+)", "\n".join(BLOCKS), re.M)

# A refused request ends the script: plain `curl -s` would print the problem and go on.
PREAMBLE = """\
set -euo pipefail
curl() { command curl --fail-with-body "$@"; echo; }
assay() { "$PYTHON" -m app.cli "$@"; }
"""


@pytest.fixture
def served() -> Iterator[ServedProduct]:
    with room() as folder:
        product = ServedProduct(folder)
        product.start()
        product.wait_until_ready()
        yield product
        product.stop()


def script(port: int, blocks: Sequence[str]) -> str:
    """These blocks, in order, as one script against a server on this port."""
    commands = "\n".join(blocks)
    return PREAMBLE + commands.replace("localhost:8080", f"127.0.0.1:{port}").replace(".venv/bin/assay", "assay")


class TestCommands:
    def test_the_two_commands_are_verbs_of_dev(self) -> None:
        assert {"run", "test"} <= set(VERBS)
        listed = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
        assert set(VERBS) <= set(re.findall(r"^  (\w+) ", listed, re.M))

    def test_ci_finds_the_test_command(self) -> None:
        (pattern,) = re.findall(r"sed -n '(.*)' README\.md", (ROOT / ".ci/run").read_text())
        found = subprocess.run(
            ["sed", "-n", pattern, "README.md"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert found.stdout.split("\n")[0] == "./dev test"

    def test_all_others_run_as_they_stand(self, served: ServedProduct) -> None:
        need("curl", package="curl")
        environment = os.environ | {
            "ASSAY_ADMIN_EMAIL": EMAIL,
            "ASSAY_ADMIN_PASSWORD": PASSWORD,
            "ASSAY_DATA_DIR": str(served.data),
            "PYTHON": sys.executable,
        }
        done = subprocess.run(
            ["bash", "-c", script(served.port, OTHERS)],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert '"accepted":2' in done.stdout.replace(" ", "")
        assert "aqt_" in done.stdout


class TestQuickStart:
    """The first two blocks through the script itself, then the third with what the first printed."""

    def test_is_two_commands_three_requests_and_a_picture(self) -> None:
        start = README[: README.index("## ")]
        blocks = re.findall(r"^```sh\n(.*?)^```$", start, re.M | re.S)
        assert [block.split("#")[0].strip() for block in blocks[:2]] == ["./dev run", "./dev test"]
        assert len(re.findall(r"\bcurl ", blocks[2])) == len(blocks[2].splitlines()) == 3
        assert len(blocks) == 3
        assert start.rstrip().splitlines()[-1].startswith("![")

    def test_the_requests_run_after_the_line_that_run_prints(self, folder: Path) -> None:
        need("curl", package="curl")
        with Running(folder, "run", "--no-demo", command=[str(ROOT / "dev")]) as command:
            command.wait_for(lambda: "Ctrl-C ends it" in command.output())
            (told,) = re.findall(r"^ *(export ASSAY_ADMIN_EMAIL=\S+ ASSAY_ADMIN_PASSWORD=\S+)$", command.output(), re.M)
            done = subprocess.run(
                ["bash", "-c", f"{told}\n{script(command.port, BLOCKS[2:3])}"],
                env=clean_environment(PYTHON=sys.executable),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            assert '"models":[]' in done.stdout.replace(" ", "")
            assert command.end() == 0

    def test_a_password_may_hold_anything(self, folder: Path) -> None:
        password = "a&b=c d+e%41\"'$x;long"
        with Running(folder, "serve", ASSAY_ADMIN_EMAIL="a+b@example.com", ASSAY_ADMIN_PASSWORD=password) as command:
            command.wait_until_ready()
            done = subprocess.run(
                ["bash", "-c", script(command.port, BLOCKS[2:3])],
                env=command.environment | {"PYTHON": sys.executable},
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def test_tests_run(self) -> None:
        done = subprocess.run(
            [ROOT / "dev", "test", "-q", "tests/core/test_cache.py"],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert re.search(r"^\d+ passed", done.stdout, re.M)


class TestLinks:
    @pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
    def test_lead_to_something(self, target: str) -> None:
        assert (ROOT / target).exists()
