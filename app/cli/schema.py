"""The schema of a command's database, brought up to date."""

import asyncio

from app.cli.hosting import address
from app.core.settings import Settings
from app.db import migrate
from app.db.faults import as_unavailable


def upgrade(settings: Settings) -> None:
    """Inside `hosted`. Raises `Unavailable` where the database does not answer."""
    with as_unavailable():
        asyncio.run(migrate.upgrade(address(settings)))
