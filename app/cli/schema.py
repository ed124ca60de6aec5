"""What is done with a command's database before a server works on it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from sqlalchemy.exc import DBAPIError

from app.auth.errors import GuessablePassword
from app.auth.passwords import demand_unguessable
from app.cli.console import note
from app.cli.hosting import address, told
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.db import migrate
from app.db.engine import Database
from app.db.faults import as_unavailable, refused
from app.db.safety import UnsafeDatabase, demand_safe

log = structlog.get_logger()

RETRY_S = 1.0
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


@contextmanager
def upgraded_once_there(settings: Settings) -> Iterator[None]:
    """As `upgrade_unless_newer` before the block; while the database is away, beside it: a server that waits says so
    to who asks for its health. Raises `Unavailable` where the database answers and does not let us in.
    """
    stop = threading.Event()
    beside: threading.Thread | None = None
    try:
        upgrade_unless_newer(settings)
    except Unavailable as problem:
        if refused(problem):
            raise
        reason = told(settings, problem)
        note(f"{reason}; the start waits for it")
        beside = threading.Thread(target=_upgrade_once_there, args=(settings, reason, stop), daemon=True)
        beside.start()
    try:
        yield
    finally:
        stop.set()
        if beside is not None:
            beside.join()


def _upgrade_once_there(settings: Settings, said: str, stop: threading.Event) -> None:
    """Until `stop`; each further reason is `said` once."""
    while not stop.wait(RETRY_S):
        try:
            upgrade_unless_newer(settings)
        except (Unavailable, NotUpgraded) as problem:  # somebody may mend what it says no by
            reason = told(settings, problem) if isinstance(problem, Unavailable) else str(problem)
            if reason != said:
                log.warning("the migrations wait", reason=reason)
            said = reason
        else:
            return


def refuse_unsafe(settings: Settings) -> None:
    """Inside `hosted`. Raises `UnsafeDatabase` (in production only), `GuessablePassword`.

    A database that does not answer, or does not let us in, is asked by each process once it does (`app.main`).
    """
    if settings.admin_password is not None:
        demand_unguessable(settings.admin_password.get_secret_value(), settings.admin_email or "")
    if settings.production:
        asyncio.run(_demand_safe(settings))


async def _demand_safe(settings: Settings) -> None:
    database = Database(address(settings), settings.database)
    try:
        with suppress(Unavailable):
            await demand_safe(database, settings)
    finally:
        await database.close()
