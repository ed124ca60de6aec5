"""Where real streams and the peers' packages come from: never part of the product, never redistributed.

`./dev validate --peers` makes an environment of its own from requirements-peers.lock and downloads, by name from the
package index, the source package that holds elec.csv and covtype.csv. What is not there is missing from the rows of V25
and V26, which say so.
"""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import Any

from rich.console import Console

ROOT = Path(__file__).parents[3]
LOCK, VENV = ROOT / "requirements-peers.lock", ROOT / ".venv-peers"
PYTHON = VENV / "bin/python"
CHILD = Path(__file__).parents[1] / "validate/peers_child.py"

STREAMS, SHA256 = "scikit-multiflow==0.3.0", "70fdf0f2ec3a8ca14d42c6138cf351d54810fbc6269ab2f2779aef3042396a31"
# NannyML would send usage data.
QUIET = {"NML_DISABLE_USAGE_LOGGING": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "assay" / "validate"


def make(console: Console) -> None:
    """The environment as the lock says, and the downloads; what can't be had is said and left out."""
    done = VENV / ".lock"
    if not PYTHON.exists() or not done.exists() or done.read_text() != LOCK.read_text():
        console.print(f"Making {VENV.name} from {LOCK.name}; it takes some minutes …")
        venv.create(VENV, clear=True, with_pip=True)
        if not pip(console, "install", "--require-hashes", "--no-deps", "-r", str(LOCK)):
            return
        done.write_text(LOCK.read_text())
    download(console)


def there() -> bool:
    """Whether the packages are installed, all of them."""
    return (VENV / ".lock").exists()


def pip(console: Console, *arguments: str) -> bool:
    command = [str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        console.print(f"[red]pip {arguments[0]} failed:[/] {done.stderr.strip()}")
    return done.returncode == 0


def download(console: Console) -> None:
    """The source package as it is: nothing of it is built or installed."""
    folder = cache()
    if any((folder / name).exists() for name in ("elec.csv", "covtype.csv")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    asked = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", str(folder), STREAMS)
    if not pip(console, "download", *asked):
        return
    archive = folder / f"{STREAMS.replace('==', '-')}.tar.gz"
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        console.print(f"[red]{archive.name} is not the file that was measured; it is not used[/]")
        return
    with tarfile.open(archive) as packed:
        for member in packed.getmembers():
            name = Path(member.name).name
            source = packed.extractfile(member) if name in {"elec.csv", "covtype.csv"} else None
            if source is not None:
                (folder / name).write_bytes(source.read())


def employment() -> Path | None:
    """The folder of the census tables in NannyML's wheel."""
    found = sorted(VENV.glob("lib/python3*/site-packages/nannyml/datasets/data/employment_MA_reference.pq"))
    return found[0].parent if found else None


def ask_peers(body: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Runs the child in the peers' environment: arrays as files of `folder`, the rest as JSON on standard streams."""
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", str(CHILD), str(folder)],
        input=json.dumps(body),
        env={**os.environ, **QUIET},
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
