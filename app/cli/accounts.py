"""Users, API keys and the audit, straight on the database: for whoever may read its address, no token is needed."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from app.audit.service import AuditChain
from app.auth.keys import ApiKeys
from app.auth.users import Users
from app.cli.console import fail
from app.cli.hosting import NoDatabase, address, hosted, must_exist
from app.cli.schema import NotUpgraded, upgrade_unless_newer
from app.cli.stopping import in_order
from app.core.clock import SystemClock
from app.core.errors import Unavailable
from app.core.exchange import acting
from app.core.settings import Settings
from app.db.embedded import EmbeddedServerError
from app.db.engine import Database
from app.db.paging import MAX_LIMIT, Page
from app.main import services

Result = TypeVar("Result")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Accounts:
    users: Users
    keys: ApiKeys
    audit: AuditChain


@asynccontextmanager
async def accounts(settings: Settings) -> AsyncIterator[Accounts]:
    """The services of the database that `settings` (inside `hosted`) point to."""
    database = Database(address(settings), settings.database)
    await database.open()
    try:
        offered = services(settings, database, SystemClock())
        yield Accounts(offered[Users], offered[ApiKeys], offered[AuditChain])
    finally:
        await database.close()


async def everything(list_page: Callable[[str | None, int], Awaitable[Page[Row]]]) -> list[Row]:
    """All pages of a list."""
    found: list[Row] = []
    cursor = None
    while True:
        page = await list_page(cursor, MAX_LIMIT)
        found += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return found


async def first_admin(settings: Settings, email: str) -> str | None:
    """Whom `Users.first_admin` finds, by address."""
    async with accounts(settings) as here:
        found = await here.users.first_admin(email)
        return None if found is None else found.email


def on_accounts(settings: Settings, work: Callable[[Accounts], Awaitable[Result]]) -> Result:
    """As `on_database`; the audit names who gave the command."""

    async def doing(here: Settings) -> Result:
        async with accounts(here) as services_here:
            with acting(f"command:{_operator()}"):
                return await work(services_here)

    return on_database(settings, doing)


def on_database(settings: Settings, work: Callable[[Settings], Coroutine[Any, Any, Result]]) -> Result:
    """Does a command's work on the database of the settings, which is brought up and up to date for it.

    A database is never made here: in another folder than the server's it would be an empty one that nobody reads.
    """
    try:
        must_exist(settings)
        with in_order(), hosted(settings) as here:
            upgrade_unless_newer(here)
            return asyncio.run(work(here))
    except (NoDatabase, EmbeddedServerError, NotUpgraded, Unavailable) as problem:
        fail(str(problem))


def _operator() -> str:
    """The system's user; by number where it has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
