"""docs/howto/python-client.md is true: the generator has no complaint, and its client works against the service."""

import os
import re
import subprocess
import sys
from pathlib import Path

from app.core.settings import Settings
from app.main import create_app
from tests.house.test_openapi import OPERATIONS
from tests.support.browser import served

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/python-client.md").read_text()
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
GENERATE = COMMANDS.replace("\\\n", " ").splitlines()[0].split()


def generated(origin: str, folder: Path) -> Path:
    """Where the client lies that the page's first command makes."""
    target = folder / "assay-client"
    here = {".venv/bin/openapi-python-client": str(Path(sys.executable).parent / "openapi-python-client")}
    here |= {"http://localhost:8080/api/v1/openapi.json": f"{origin}/api/v1/openapi.json", "assay-client": str(target)}
    done = subprocess.run(
        [here.get(word, word) for word in GENERATE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARN" not in done.stdout + done.stderr
    return target


def test_the_page_works_as_it_stands(settings: Settings, tmp_path: Path) -> None:
    """The generator makes a function of every operation, and the page's program talks to the service with them."""
    account = {"ASSAY_ADMIN_EMAIL": "admin@example.com", "ASSAY_ADMIN_PASSWORD": "a-long-first-password"}
    with served(create_app(settings)) as origin:
        client = generated(origin, tmp_path)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            env=os.environ | account | {"ASSAY_URL": origin, "PYTHONPATH": str(client)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[:2] == ["2 predictions", "2 labels"]
    assert re.fullmatch(r"accuracy 0\.\d+ 1\.0", told[2])
    assert told[3].startswith("422 ")
    made = {file.stem for file in client.glob("assay_client/api/*/*.py")}
    assert {operation["operationId"] for operation in OPERATIONS.values()} <= made
