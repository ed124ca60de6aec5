"""Programs that some tests need and a machine may lack."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

_OTHER = os.environ.get("ASSAY_TEST_POSTGRES_BIN")
# Its folder of programs, set by the test that runs the database's tests on another PostgreSQL than the embedded one.
OTHER_POSTGRES = Path(_OTHER) if _OTHER else None


def need(program: str, *, package: str, where: str | None = None) -> Path:
    """The program's path. Without it: a failure when ASSAY_TEST_REQUIRE=all, else the test is left out and says so."""
    found = shutil.which(program, path=where)
    if not found:
        leave_out(f"{program} is not here: apt-get install {package}")
    return Path(found)


def need_root() -> None:
    """For roots and namespaces of the test's own; without it: as `need`."""
    if os.geteuid() != 0:
        leave_out("only root may make roots and namespaces here: run the tests as root, in a container for instance")


def leave_out(reason: str) -> NoReturn:
    """A test that this machine can't run: a failure when ASSAY_TEST_REQUIRE=all, else it says why."""
    if os.environ.get("ASSAY_TEST_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)  # a tool of the machine, not of the product; CI requires all of them
