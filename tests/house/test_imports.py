"""The floors of the house hold: every import contract of pyproject.toml."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_an_api_process_does_not_load_what_only_some_need() -> None:
    """Fitting and the queue in workers, bodies of Arrow, spans where a collector is named."""
    some = {"sklearn", "pandas", "statsmodels", "pyarrow", "opentelemetry.sdk", "procrastinate", "psycopg"}
    code = f"import sys, app.main, app.cli.serve, app.cli.run; print(sorted({some} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_worker_does_not_load_the_web() -> None:
    code = "import sys, app.worker; print(sorted({'fastapi', 'uvicorn', 'jinja2', 'slowapi'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_transactions_end_in_db_only() -> None:
    offenders = [
        f"{path}:{number}"
        for path in (ROOT / "app").rglob("*.py")
        if "db" not in path.relative_to(ROOT / "app").parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ".commit(" in line
    ]
    assert not offenders
