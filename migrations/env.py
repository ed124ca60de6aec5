"""Alembic's environment: async, one transaction, one migrating process at a time."""

import asyncio
import os

import asyncpg
from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.core import dsn
from app.db.migrate import MadeByNewerCode, known
from app.db.tables import metadata

LOCK = 0x0A55A7  # one advisory lock for all who migrate this database
CONNECT_TIMEOUT_S = 10.0  # no caller waits for an answer

config = context.config


def url() -> str:
    address = config.attributes.get("url") or os.environ.get(dsn.NAME)
    if not address:
        raise SystemExit(f"set {dsn.NAME}, or use `assay migrate` for the embedded database")
    return str(address)


def mapped(name: str | None, kind: str, _parents: object) -> bool:
    """Tables of the hot path and of the queue are written by hand: `alembic check` compares those that are mapped."""
    return kind != "table" or name in metadata.tables


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True, include_name=mapped)
    with context.begin_transaction():
        connection.execute(text("set local lock_timeout = '30s'"))
        connection.execute(text(f"select pg_advisory_xact_lock({LOCK})"))
        for revision in context.get_context().get_current_heads():
            if revision not in known():
                raise MadeByNewerCode(f"the schema is at {revision}, which newer code made")
        context.run_migrations()


async def run() -> None:
    where = dsn.read(url())
    patience_s = where.connect_timeout_s or CONNECT_TIMEOUT_S
    engine = create_async_engine(
        dsn.ENGINE, async_creator=lambda: asyncpg.connect(where.url, timeout=patience_s), poolclass=pool.NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("offline mode is not offered: the migrations look at the live database")
asyncio.run(run())
