"""The tables that SQLAlchemy maps; those of the hot path are written by hand in their migration."""

from app.db.tables.base import Table, metadata

__all__ = ["Table", "metadata"]
