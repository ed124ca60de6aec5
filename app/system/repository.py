"""A connection of its own to ask the database how it is; pools may be busy without the database being ill."""

import asyncio
from typing import Any

import asyncpg

from app.core import dsn

CONNECT_TIMEOUT_S = 0.8  # with the statement's, below the probe's second and a half
STATEMENT_TIMEOUT_S = 0.6


class DatabaseWatch:
    """Asks on one connection; after any trouble with it the next question opens another one."""

    def __init__(self, url: str) -> None:
        self._url = dsn.read(url).url
        self._connection: Any = None
        self._turn = asyncio.Lock()

    async def ping(self) -> None:
        await self._value("select 1")

    async def silent(self) -> bool:
        """Whether a new connection waits in vain, too; one that is refused need not wait."""
        try:
            connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S)
        except TimeoutError:
            return True
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        connection.terminate()
        return False

    async def revision(self) -> str | None:
        """The schema's revision; None where there is none."""
        if not await self._value("select to_regclass('alembic_version') is not null"):
            return None
        revision: str | None = await self._value("select max(version_num) from alembic_version")
        return revision

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _value(self, statement: str) -> Any:
        async with self._turn:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S)
                return await self._connection.fetchval(statement, timeout=STATEMENT_TIMEOUT_S)
            except BaseException:  # also when the probe's time is over: the connection's state is unknown then
                await self.close()
                raise
