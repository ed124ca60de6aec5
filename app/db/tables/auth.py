"""Users, log-ins with their refresh tokens, API keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, ForeignKey, Identity, LargeBinary, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Table

_Moment = DateTime(timezone=True)


class User(Table):
    """A person with a role. `token_version` grows when all access tokens signed before must end."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)  # lower case
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    token_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(_Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(_Moment)


class LogIn(Table):
    """One log-in: the family of refresh tokens that descend from it."""

    __tablename__ = "log_in"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(_Moment)
    ends_at: Mapped[datetime] = mapped_column(_Moment)  # whatever is done, no later
    revoked_at: Mapped[datetime | None] = mapped_column(_Moment)


class RefreshToken(Table):
    """A refresh token by its SHA-256; the token itself is nowhere."""

    __tablename__ = "refresh_token"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    log_in_id: Mapped[UUID] = mapped_column(ForeignKey("log_in.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(_Moment)  # when it lies idle
    used_at: Mapped[datetime | None] = mapped_column(_Moment)
    used_by: Mapped[bytes | None] = mapped_column(LargeBinary)  # digest of the client that used it


class ApiKey(Table):
    """An API key by the SHA-256 of its secret part."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    models: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(_Moment)
    expires_at: Mapped[datetime | None] = mapped_column(_Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(_Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(_Moment)  # within a minute, see `auth.usage`


class SigningKey(Table):
    """A key that signs access tokens or did, by its public name: from `retired_at` its time runs out."""

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    algorithm: Mapped[str] = mapped_column(Text)
    first_seen_at: Mapped[datetime] = mapped_column(_Moment)
    retired_at: Mapped[datetime | None] = mapped_column(_Moment)
