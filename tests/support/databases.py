"""Databases of tests, cloned from a migrated one."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.db.embedded import EmbeddedServer

_numbers = itertools.count()


@asynccontextmanager
async def cloned(server: EmbeddedServer, template: str) -> AsyncIterator[str]:
    """The URL of a fresh database; takes about 20 ms."""
    name = f"test_{next(_numbers)}"
    await administer(server, f"create database {name} template {template} strategy file_copy")
    try:
        yield named(server.url, name)
    finally:
        await administer(server, f"drop database {name} with (force)")


async def administer(server: EmbeddedServer, statement: str) -> None:
    connection = await asyncpg.connect(named(server.url, "postgres"))
    await connection.execute(statement)
    await connection.close()


def named(url: str, name: str) -> str:
    head, query = url.split("?", 1)
    return f"{head.rsplit('/', 1)[0]}/{name}?{query}"
