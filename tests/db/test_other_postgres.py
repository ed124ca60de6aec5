"""The database and tracking tests on Debian's PostgreSQL, as a user with a server of their own would run Assay."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.tools import need

ROOT = Path(__file__).parents[2]
# what speaks SQL: the rest of tracking's tests are arithmetic and would only take their time twice
TESTS = (
    "tests/db",
    "--ignore=tests/db/test_embedded.py",  # of the programs that come along
    "--ignore=tests/db/test_tls.py",  # which takes Debian's by itself
    "tests/models",
    *sorted(
        str(path) for path in (ROOT / "tests/tracking").glob("test_*.py") if "database: Database" in path.read_text()
    ),
)


def test_debians_postgres_serves_as_well() -> None:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    where = os.pathsep.join(map(str, installed)) or "/nowhere"
    postgres = need("postgres", package="postgresql", where=where)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, f"--ignore={__file__}"],
        cwd=ROOT,
        env=os.environ | {"ASSAY_TEST_POSTGRES_BIN": str(postgres.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
