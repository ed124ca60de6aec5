"""One process's way to the database: SQLAlchemy for the slices, an asyncpg pool for the hot paths.

Transactions begin and end here and nowhere else: a use case opens exactly one block, and it is durable when the block
has ended, before any answer leaves.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NewType

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.core.settings import DatabaseSettings
from app.db.faults import as_unavailable

Session = NewType("Session", AsyncSession)
ReadSession = NewType("ReadSession", AsyncSession)

CONNECT_TIMEOUT_S = 3.0


class Database:
    """Engine and pool on one URL; `open()` at start, `close()` at the end."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self.url = url
        self._settings = settings
        self.engine: AsyncEngine = create_async_engine(
            _with_driver(url),
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.pool_timeout_s,
            pool_pre_ping=True,
            hide_parameters=True,  # errors are logged; what callers sent is not
            pool_recycle=1800,
            connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": settings.command_timeout_s},
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._pool: Any = None

    async def open(self) -> None:
        with as_unavailable():
            self._pool = await asyncpg.create_pool(
                _without_driver(self.url),
                min_size=1,
                max_size=self._settings.hot_pool_size,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=self._settings.command_timeout_s,
                reset=_as_it_is,
            )

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Session]:
        """One transaction: durable when the block ends, undone when it raises."""
        with as_unavailable():
            async with self._sessions() as session, session.begin():
                yield Session(session)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """One snapshot, read only; a write in it is refused by the database."""
        with as_unavailable():
            async with self._sessions() as session, session.begin():
                await session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                )
                yield ReadSession(session)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """An asyncpg connection of the hot pool, without a transaction."""
        with as_unavailable():
            async with self._pool.acquire(timeout=self._settings.pool_timeout_s) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False) -> AsyncIterator[Any]:
        """An asyncpg connection inside one transaction; `snapshot`: repeatable read, read only."""
        async with self.connection() as connection:
            kind = {"isolation": "repeatable_read", "readonly": True} if snapshot else {}
            async with connection.transaction(**kind):
                yield connection

    async def listen(self, channel: str, heard: Any) -> Any:
        """A connection of its own that calls `heard(payload)` at each NOTIFY; the caller closes it."""
        with as_unavailable():
            connection = await asyncpg.connect(_without_driver(self.url), timeout=CONNECT_TIMEOUT_S)
            await connection.add_listener(channel, lambda *arguments: heard(arguments[-1]))
        return connection


async def _as_it_is(_connection: Any) -> None:
    """Nothing to reset: whatever the hot paths set or lock is local to its transaction; saves a round trip a use."""


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+asyncpg://", 1).replace("postgres://", "postgresql+asyncpg://", 1)


def _without_driver(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)
