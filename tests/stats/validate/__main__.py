"""`python -m tests.stats.validate`, which is `./dev validate`."""

import argparse
import os
import platform
import sys
import time
from dataclasses import replace

import numpy as np
import scipy
from rich.console import Console

from tests.stats import validate
from tests.stats.simulations import sources
from tests.stats.simulations.registry import Check
from tests.stats.validate import figures, record
from tests.stats.validate.page import rendered
from tests.stats.validate.running import run_all

CONSOLE = Console(stderr=True)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev validate",
        description="Runs every check of the statistics at its full replications, beside a variant that is broken on "
        "purpose, and writes docs/validation.md and docs/figures. Exit status 1 if a row fails.",
    )
    parser.add_argument("--only", metavar="V3,V10", type=names, help="these rows only; the others stay as they are")
    parser.add_argument("--smoke", action="store_true", help="the short forms, in a minute; writes nothing")
    parser.add_argument(
        "--peers", action="store_true", help="make the peers' environment from its lock and fetch streams, for V25, V26"
    )
    parser.add_argument("--figures", action="store_true", help="draw docs/figures and nothing else")
    return parser.parse_args(arguments)


def names(text: str) -> list[str]:
    wanted = [name.strip().upper() for name in text.split(",")]
    unknown = sorted(set(wanted) - set(validate.checks()))
    if unknown:
        raise argparse.ArgumentTypeError(f"no check {', '.join(unknown)}; known: {', '.join(validate.checks())}")
    return wanted


def main() -> int:
    asked = options()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # for the processes: two share the machine, and sums keep their order
    if asked.figures:
        return figures.draw(CONSOLE)
    chosen = [check for id_, check in validate.checks().items() if not asked.only or id_ in asked.only]
    if asked.smoke:
        return smoke(chosen)
    if asked.peers:
        sources.make(CONSOLE)
    return full(chosen, whole=not asked.only)


def smoke(chosen: list[Check]) -> int:
    found = run_all(chosen, ("smoke",), CONSOLE)
    return any(not forms["smoke"].result.passed for forms in found.values())


def full(chosen: list[Check], *, whole: bool) -> int:
    commit, started = record.commit(), time.monotonic()
    found = run_all(chosen, ("full", "broken", "smoke"), CONSOLE)
    rows = [record.row_of(check, found[check.id], commit) for check in chosen]
    after = record.Record() if whole else record.read()
    after = after.replaced(rows)
    if whole:
        after = replace(after, machine=machine(), minutes=round((time.monotonic() - started) / 60, 1))
    after = replace(after, rows=tuple(sorted(after.rows, key=lambda row: validate.PROMISED.index(row.id))))
    record.write(after)
    record.PAGE.write_text(rendered(after))
    if whole:
        figures.draw(CONSOLE)
    bad = record.failed(rows)
    CONSOLE.print(f"{len(rows) - len(bad)} of {len(rows)} hold" + (f"; not: {', '.join(bad)}" if bad else ""))
    return bool(bad)


def machine() -> str:
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}"
    return f"{os.cpu_count()} cores, {platform.machine()}; {versions}."


if __name__ == "__main__":
    sys.exit(main())
