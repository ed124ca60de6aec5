"""What is done with a command's database before a server works on it."""

import asyncio

from sqlalchemy.exc import DBAPIError

from app.auth.errors import GuessablePassword
from app.auth.passwords import demand_unguessable
from app.cli.console import note
from app.cli.hosting import address
from app.core.settings import Settings
from app.db import migrate
from app.db.engine import Database
from app.db.faults import as_unavailable
from app.db.safety import UnsafeDatabase, demand_safe

UNSAFE = (UnsafeDatabase, GuessablePassword)  # what `refuse_unsafe` says no by


class NotUpgraded(Exception):  # noqa: N818
    """The database is there and refuses; the message is its own."""


class Newer(NotUpgraded):
    """Code that is newer than ours has migrated it."""


def upgrade(settings: Settings) -> None:
    """Inside `hosted`. Raises `Unavailable` where the database does not answer, `NotUpgraded` where it says no."""
    try:
        with as_unavailable():
            asyncio.run(migrate.upgrade(address(settings)))
    except DBAPIError as error:
        reason = getattr(error.orig, "__cause__", None) or error.orig  # the driver's, without SQLAlchemy's additions
        raise NotUpgraded(f"the schema can't be brought up to date: {reason}") from error
    except migrate.MadeByNewerCode as newer:
        raise Newer(str(newer)) from newer


def upgrade_unless_newer(settings: Settings) -> None:
    """As `upgrade`. What newer code made is told of and used: while a version is rolled out, both run."""
    try:
        upgrade(settings)
    except Newer as newer:
        note(f"{newer}; it stays as it is")


def refuse_unsafe(settings: Settings) -> None:
    """Inside `hosted`. Raises `UnsafeDatabase` (in production only), `GuessablePassword`, `Unavailable`."""
    if settings.admin_password is not None:
        demand_unguessable(settings.admin_password.get_secret_value(), settings.admin_email or "")
    if settings.production:
        asyncio.run(_demand_safe(settings))


async def _demand_safe(settings: Settings) -> None:
    database = Database(address(settings), settings.database)
    try:
        await demand_safe(database, settings)
    finally:
        await database.close()
