"""docs/howto/deploy.md: whoever follows it can log in."""

import re
import subprocess
from pathlib import Path

from tests.support.tools import need

PAGE = (Path(__file__).parents[2] / "docs/howto/deploy.md").read_text()
SHOWS = """docker() { [ "$1" != run ] || printf 'handed over: %s' "$ASSAY_ADMIN_PASSWORD"; }; set -eu"""


def test_one_container_is_given_the_password_that_was_shown() -> None:
    need("openssl", package="openssl")
    (script,) = re.findall(r"## One container\n\n```sh\n(.*?)```", PAGE, re.S)
    done = subprocess.run(["sh", "-c", f"{SHOWS}\n{script}"], capture_output=True, text=True, check=True)
    shown, handed_over = done.stdout.split("handed over: ")
    assert len(handed_over) >= 12
    assert handed_over in shown.split()
    assert handed_over not in script
