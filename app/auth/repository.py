"""All SQL of users, log-ins and API keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.scopes import Role
from app.db.engine import ReadSession, Session
from app.db.tables.auth import ApiKey, LogIn, RefreshToken, SigningKey, User


@dataclass(frozen=True, slots=True)
class Standing:
    """What a log-in is worth now."""

    user_id: int
    email: str
    role: Role
    token_version: int


async def user_by_email(session: AsyncSession, email: str) -> User | None:
    return await session.scalar(select(User).where(User.email == email))


async def user_by_id(session: AsyncSession, user_id: int, *, lock: bool = False) -> User | None:
    return await session.get(User, user_id, with_for_update=lock or None)


async def first_active_admin(session: AsyncSession) -> User | None:
    active = select(User).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
    return await session.scalar(active.order_by(User.id).limit(1))


async def users(session: ReadSession, after: int, limit: int) -> Sequence[User]:
    found = await session.scalars(select(User).where(User.id > after).order_by(User.id).limit(limit))
    return found.all()


async def add_user(session: Session, *, email: str, password_hash: str, role: Role, now: datetime) -> User | None:
    """None where the e-mail address is taken; of two at once, one wins."""
    statement = (
        insert(User)
        .values(email=email, password_hash=password_hash, role=role, token_version=1, created_at=now)
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User)
    )
    return (await session.scalars(statement)).one_or_none()


async def lock_active_admins(session: Session) -> int:
    """How many there are; locked, so that two changes at once can't each leave the other as the last."""
    statement = select(User.id).where(User.role == Role.ADMIN, User.disabled_at.is_(None)).with_for_update()
    return len((await session.scalars(statement)).all())


async def add_log_in(session: Session, log_in: LogIn) -> None:
    session.add(log_in)
    await session.flush()


async def standing(session: ReadSession, log_in: UUID, now: datetime) -> Standing | None:
    """None where the log-in has ended or its user is disabled."""
    statement = (
        select(User.id, User.email, User.role, User.token_version)
        .join(LogIn, LogIn.user_id == User.id)
        .where(LogIn.id == log_in, LogIn.revoked_at.is_(None), LogIn.ends_at > now, User.disabled_at.is_(None))
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Standing(row.id, row.email, Role(row.role), row.token_version)


async def use_refresh_token(session: Session, digest: bytes, client: bytes, now: datetime) -> RefreshToken | None:
    """Marks an unused token as used and returns it; of two at once, one gets it."""
    statement = (
        update(RefreshToken)
        .where(RefreshToken.digest == digest, RefreshToken.used_at.is_(None))
        .values(used_at=now, used_by=client)
        .returning(RefreshToken)
    )
    return (await session.scalars(statement)).one_or_none()


async def refresh_token(session: AsyncSession, digest: bytes) -> RefreshToken | None:
    return await session.get(RefreshToken, digest)


async def open_log_in(session: Session, log_in: UUID, now: datetime) -> tuple[LogIn, User] | None:
    """The log-in, locked, and its user; None where it has ended or the user is disabled."""
    statement = (
        select(LogIn, User)
        .join(User, User.id == LogIn.user_id)
        .where(LogIn.id == log_in, LogIn.revoked_at.is_(None), LogIn.ends_at > now, User.disabled_at.is_(None))
        .with_for_update(of=LogIn)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else (row[0], row[1])


async def revoke_log_in(session: Session, log_in: UUID, now: datetime) -> None:
    await session.execute(update(LogIn).where(LogIn.id == log_in, LogIn.revoked_at.is_(None)).values(revoked_at=now))


async def revoke_log_ins_of(session: Session, user_id: int, now: datetime) -> None:
    await session.execute(
        update(LogIn).where(LogIn.user_id == user_id, LogIn.revoked_at.is_(None)).values(revoked_at=now)
    )


async def api_key(session: AsyncSession, key_id: str, now: datetime) -> ApiKey | None:
    """A key that is neither revoked nor expired."""
    return await session.scalar(
        select(ApiKey).where(
            ApiKey.id == key_id,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
        )
    )


async def api_keys(session: ReadSession, after: str, limit: int) -> Sequence[ApiKey]:
    found = await session.scalars(select(ApiKey).where(ApiKey.id > after).order_by(ApiKey.id).limit(limit))
    return found.all()


async def revoke_api_key(session: Session, key_id: str, now: datetime) -> ApiKey | None:
    """None where there is none to revoke."""
    statement = (
        update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=now).returning(ApiKey)
    )
    return (await session.scalars(statement)).one_or_none()


async def note_use(session: Session, uses: Mapping[str, datetime]) -> None:
    """When keys were last seen; an earlier moment never takes the place of a later one."""
    for key_id in sorted(uses):  # in one order, so that two processes never wait for each other
        seen = func.greatest(ApiKey.last_used_at, uses[key_id])
        await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=seen))


async def drop_ended_log_ins(session: Session, user_id: int, now: datetime) -> None:
    """Housekeeping as people log in: what ended is of no use to anybody."""
    await session.execute(delete(LogIn).where(LogIn.user_id == user_id, LogIn.ends_at < now))


async def note_signing_key(
    session: Session, kid: str, algorithm: str, now: datetime, *, retired: bool
) -> datetime | None:
    """When the key was first seen retired; None for the one that signs."""
    first = func.coalesce(SigningKey.retired_at, now) if retired else None
    statement = (
        insert(SigningKey)
        .values(kid=kid, algorithm=algorithm, first_seen_at=now, retired_at=now if retired else None)
        .on_conflict_do_update(index_elements=[SigningKey.kid], set_={"retired_at": first})
        .returning(SigningKey.retired_at)
    )
    return await session.scalar(statement)
