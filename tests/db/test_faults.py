"""503 says which of the things that a database can want for it is."""

import pytest
from sqlalchemy import text

from app.core.errors import Unavailable
from app.core.settings import DatabaseSettings
from app.db.engine import Database
from tests.support.served import free_port

SMALL = DatabaseSettings(pool_size=1, hot_pool_size=2, pool_timeout_s=0.05)


async def test_connections_that_are_all_in_use(database_url: str) -> None:
    database = Database(database_url, SMALL)
    await database.open()
    try:
        async with database.connection(), database.connection(), database.write() as session:
            await session.execute(text("select 1"))
            with pytest.raises(Unavailable, match="every connection to the database is in use"):
                await database.connection().__aenter__()
            with pytest.raises(Unavailable, match="every connection to the database is in use"):
                await database.read().__aenter__()
        async with database.connection() as connection:
            assert await connection.fetchval("select 1") == 1
    finally:
        await database.close()


async def test_a_connection_that_is_cut(database: Database) -> None:
    with pytest.raises(Unavailable, match="the database does not answer just now"):
        async with database.transaction() as connection:
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")


async def test_nobody_at_the_address() -> None:
    with pytest.raises(Unavailable, match="the database does not answer just now"):
        await Database(f"postgresql://assay@127.0.0.1:{free_port()}/assay", SMALL).open()
