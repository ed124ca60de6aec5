"""The mapped tables of auth are what the migrations made."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from app.db.engine import Database
from app.db.tables.audit import AuditHeadTable, AuditLinkTable, AuditTable
from app.db.tables.auth import ApiKey, LogIn, RefreshToken, SigningKey, User
from app.db.tables.idempotency import IdempotencyTable

TABLES = (User, LogIn, RefreshToken, ApiKey, SigningKey, AuditTable, AuditLinkTable, AuditHeadTable, IdempotencyTable)
OURS = {table.__tablename__ for table in TABLES}


class TestTables:
    async def test_are_the_same_in_code_and_in_the_database(self, database: Database) -> None:
        def differences(connection: Connection) -> list[object]:
            context = MigrationContext.configure(
                connection,
                opts={
                    "compare_type": True,
                    "include_name": lambda name, kind, _: kind != "table" or name in OURS,
                    "include_object": lambda thing, _name, kind, *_: kind != "table" or thing.name in OURS,
                },
            )
            return list(compare_metadata(context, User.metadata))

        async with database.engine.connect() as connection:
            assert await connection.run_sync(differences) == []
