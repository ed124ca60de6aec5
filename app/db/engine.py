"""One process's way to the database: SQLAlchemy for the slices, an asyncpg pool for the hot paths.

Transactions begin and end here and nowhere else: a use case opens exactly one block, and it is durable when the block
has ended, before any answer leaves.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NewType
from weakref import WeakSet

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.core import dsn
from app.core.settings import DatabaseSettings
from app.db.faults import NoneFree, as_unavailable

Session = NewType("Session", AsyncSession)
ReadSession = NewType("ReadSession", AsyncSession)

PATIENT_S = 30.0  # what works in the background waits its turn while requests use all connections
CONNECT_TIMEOUT_S = 2.0  # a caller hears of a silent database within three seconds; the URL's connect_timeout wins


class Database:
    """Engine and pool on one URL; `open()` at start, `close()` at the end."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self.url = url
        self.dsn = dsn.read(url)
        self._settings = settings
        self.engine: AsyncEngine = create_async_engine(
            dsn.ENGINE,
            async_creator=lambda: self._connect(
                self.dsn.url, timeout=self._connect_timeout_s, command_timeout=settings.command_timeout_s
            ),
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.pool_timeout_s,
            pool_pre_ping=True,
            hide_parameters=True,  # errors are logged; what callers sent is not
            pool_recycle=1800,
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._pool: Any = None
        self._open: WeakSet[Any] = WeakSet()  # asyncpg's connections, of both pools
        self._silent = False

    @property
    def statement_timeout_s(self) -> float:
        """After so long a statement is given up."""
        return self._settings.command_timeout_s

    async def open(self) -> None:
        with as_unavailable():
            self._pool = await asyncpg.create_pool(
                self.dsn.url,
                min_size=1,
                max_size=self._settings.hot_pool_size,
                timeout=self._connect_timeout_s,
                command_timeout=self._settings.command_timeout_s,
                connect=self._connect,
                reset=_as_it_is,
            )

    @property
    def _connect_timeout_s(self) -> float:
        return self.dsn.connect_timeout_s or CONNECT_TIMEOUT_S

    @property
    def opened(self) -> bool:
        return self._pool is not None

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
        await self.engine.dispose()

    async def _connect(self, *address: Any, **options: Any) -> Any:
        if self._silent:
            raise ConnectionError("the database gives no answer")
        connection = await asyncpg.connect(*address, **options)
        self._open.add(connection)
        return connection

    def give_up(self) -> None:
        """For a database that gives no answer: who waits for one is told so now, not when the statement's time is over,
        and who comes is told at once, until it was `heard`."""
        self._silent = True
        for connection in tuple(self._open):
            connection.terminate()

    def heard(self) -> None:
        """It answers."""
        self._silent = False

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Session]:
        """One transaction: durable when the block ends, undone when it raises."""
        with as_unavailable(silent=self._silent):
            async with self._sessions() as session, session.begin():
                yield Session(session)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """One snapshot, read only; a write in it is refused by the database."""
        with as_unavailable(silent=self._silent):
            async with self._sessions() as session, session.begin():
                await session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                )
                yield ReadSession(session)

    @asynccontextmanager
    async def connection(self, *, patient: bool = False) -> AsyncIterator[Any]:
        """An asyncpg connection of the hot pool, without a transaction. `patient`: for what nobody waits for."""
        wait_s = PATIENT_S if patient else self._settings.pool_timeout_s
        with as_unavailable(silent=self._silent):
            try:
                connection = await self._pool.acquire(timeout=wait_s)
            except TimeoutError as error:
                raise NoneFree from error
            try:
                yield connection
            finally:
                await self._pool.release(connection)

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False, patient: bool = False) -> AsyncIterator[Any]:
        """An asyncpg connection inside one transaction; `snapshot`: repeatable read, read only."""
        async with self.connection(patient=patient) as connection:
            kind = {"isolation": "repeatable_read", "readonly": True} if snapshot else {}
            async with connection.transaction(**kind):
                yield connection

    async def listen(self, channel: str, heard: Any) -> Any:
        """A connection of its own that calls `heard(payload)` at each NOTIFY; the caller closes it."""
        with as_unavailable():
            connection = await asyncpg.connect(self.dsn.url, timeout=self._connect_timeout_s)
            await connection.add_listener(channel, lambda *arguments: heard(arguments[-1]))
        return connection


async def _as_it_is(_connection: Any) -> None:
    """Nothing to reset: whatever the hot paths set or lock is local to its transaction; saves a round trip a use."""
