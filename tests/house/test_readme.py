"""README.md is true: its commands run as they stand, its links lead somewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.room import room
from tests.support.served import EMAIL, PASSWORD, ServedProduct
from tests.support.tools import need

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS: list[str] = re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)
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


def script(port: int) -> str:
    """All blocks but those of ./dev, in order, as one script against a server on this port."""
    commands = "\n".join(block for block in BLOCKS if "./dev " not in block)
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
            ["bash", "-c", script(served.port)], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert '"accepted":2' in done.stdout.replace(" ", "")
        assert "aqt_" in done.stdout


class TestLinks:
    @pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
    def test_lead_to_something(self, target: str) -> None:
        assert (ROOT / target).exists()
