"""The code of this process, in a process of its own."""

import sys
from pathlib import Path

CODE = Path(__file__).parents[2]
# `python -m` looks for modules in the current folder first: a folder `app` that lies there would run instead. With -P
# it does not, and what it finds elsewhere may be another checkout: so it is told where this process has its code.
_START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def command(module: str, *arguments: str) -> list[str]:
    """As `python -m module arguments`."""
    return [sys.executable, "-P", "-c", _START, str(CODE), module, *arguments]
