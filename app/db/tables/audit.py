"""What was done by whom, and the chain that shows whether somebody changed it afterwards."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, DateTime, Index, LargeBinary, Text, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Table

_Moment = DateTime(timezone=True)


class AuditTable(Table):
    """One thing done. The database numbers the rows, and refuses to change or to delete them."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "actor", "id"), Index(None, "object", "id"))

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(_Moment, index=True)
    actor: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    object: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    before: Mapped[bytes | None] = mapped_column(LargeBinary)
    after: Mapped[bytes | None] = mapped_column(LargeBinary)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    request_id: Mapped[str | None] = mapped_column(Text, index=True)


class AuditLinkTable(Table):
    """One closed hour: `leaves` are the SHA-256 of its rows, `digest` is that of all this and of the link before."""

    __tablename__ = "audit_link"

    hour: Mapped[datetime] = mapped_column(_Moment, primary_key=True)  # its end
    last_id: Mapped[int] = mapped_column(BigInteger)
    ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    leaves: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    seal: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_with: Mapped[str] = mapped_column(Text)
    closed_at: Mapped[datetime] = mapped_column(_Moment)
    number: Mapped[int | None] = mapped_column(BigInteger)  # None: closed before there was a head


class AuditHeadTable(Table):
    """Where the chain ends: one row, which moves with every closed hour. Its seal is not that of a link."""

    __tablename__ = "audit_head"

    one: Mapped[bool] = mapped_column(primary_key=True, server_default=true())
    hour: Mapped[datetime] = mapped_column(_Moment)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    seal: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_with: Mapped[str] = mapped_column(Text)
