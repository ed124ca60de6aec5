"""Requests with an `Idempotency-Key`, for as long as their answer is kept."""

from datetime import datetime

from sqlalchemy import DateTime, LargeBinary, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Table

_Moment = DateTime(timezone=True)


class IdempotencyTable(Table):
    """A claimed key of a caller; `status` and `answer` (encrypted) stand when the request has been answered."""

    __tablename__ = "idempotency"

    principal: Mapped[str] = mapped_column(Text, primary_key=True)
    key_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    request_digest: Mapped[bytes] = mapped_column(LargeBinary)
    request_id: Mapped[str] = mapped_column(Text)
    claimed_at: Mapped[datetime] = mapped_column(_Moment)
    expires_at: Mapped[datetime] = mapped_column(_Moment, index=True)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
