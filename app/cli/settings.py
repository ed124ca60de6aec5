"""`assay settings`: every setting as a line of a `.env` file; `.env.example` is its output."""

import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.cli.console import results, subcommands
from app.core.settings import Group, Settings

commands = subcommands()
WIDTH = 110
HEAD = """\
# Every setting of Assay with its default and its meaning; written by `assay settings`. Copy what you change to `.env`
# or set it in the environment, which wins. Lists are written one,two or, where a comma is part of a value, in JSON:
# ["one,two"]. Secrets are better kept out of files that others can read.
"""


@commands.command(epilog="Example: assay settings > .env.example")
def settings() -> None:
    """Print every setting with its default and its meaning, as a .env file."""
    results.out(example(), end="")


def example() -> str:
    """The text of `.env.example`."""
    single = [name for name in Settings.model_fields if not _is_group(Settings.model_fields[name])]
    parts = [HEAD, "\n".join(_lines(Settings, single, "ASSAY_"))]
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            lines = _lines(group, list(group.model_fields), f"ASSAY_{name.upper()}__")
            parts.append("\n".join([f"# --- {name} ---", *lines]))
    return "\n".join(f"{part.rstrip()}\n" for part in parts)


def _lines(of: type[BaseModel], names: list[str], prefix: str) -> Iterator[str]:
    for name in names:
        field = of.model_fields[name]
        yield from textwrap.wrap(field.description or "", WIDTH, initial_indent="# ", subsequent_indent="#   ")
        yield f"#{prefix}{name.upper()}={_written(field.default)}"


def _written(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


def _is_group(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Group)
