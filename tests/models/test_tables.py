"""The mapped tables are those that the migration makes."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from app.db.engine import Database
from app.db.tables import metadata
from app.db.tables.models import ModelTable, VersionTable

MINE = frozenset(
    name
    for name in metadata.tables
    if name in ("model", "model_alias") or name.startswith(("model_version", "version_"))
)


def differences(connection: Connection) -> list[Any]:
    options = {"include_name": lambda name, kind, _: kind != "table" or name in MINE, "compare_type": True}
    mine = metadata.__class__(naming_convention=metadata.naming_convention)
    for name in MINE:
        metadata.tables[name].to_metadata(mine)
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), mine))


class TestTables:
    async def test_match_the_migration(self, database: Database) -> None:
        assert {ModelTable.__tablename__, VersionTable.__tablename__} < MINE
        async with database.engine.connect() as connection:
            assert await connection.run_sync(differences) == []
