"""Bringing the schema to the newest revision; safe when several processes start at once."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).parents[2] / "migrations"


class MadeByNewerCode(Exception):  # noqa: N818
    """The database is at a revision that this code does not have, so there is nothing it could do."""


def configuration(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


async def upgrade(url: str, revision: str = "head") -> None:
    """Runs what is missing, under an advisory lock inside the one transaction that it all is.

    Raises `MadeByNewerCode`.
    """
    await asyncio.to_thread(command.upgrade, configuration(url), revision)


async def downgrade(url: str, revision: str) -> None:
    await asyncio.to_thread(command.downgrade, configuration(url), revision)


def newest() -> str:
    """The revision this code expects."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if head is None:
        raise RuntimeError("no migrations found")
    return head


def known() -> frozenset[str]:
    """All revisions this code has; a database at any other one was migrated by newer code."""
    return frozenset(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
