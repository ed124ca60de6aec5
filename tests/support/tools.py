"""Programs that some tests need and a machine may lack."""

import os
import shutil
from pathlib import Path

import pytest


def need(program: str, *, package: str, where: str | None = None) -> Path:
    """The program's path. Without it: a failure when ASSAY_TEST_REQUIRE=all, else the test is left out and says so."""
    found = shutil.which(program, path=where)
    if found:
        return Path(found)
    reason = f"{program} is not here: apt-get install {package}"
    if os.environ.get("ASSAY_TEST_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)  # a tool of the machine, not of the product; CI requires all of them
