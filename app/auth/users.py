"""Users: made, listed, changed; the first admin from the settings."""

import structlog

from app.auth import repository
from app.auth.authenticate import Authenticator
from app.auth.errors import EmailTaken, LastAdmin, UserNotFound
from app.auth.passwords import Passwords
from app.auth.scopes import Role
from app.core.clock import Clock, to_datetime
from app.core.emails import normalised
from app.core.settings import Settings
from app.db import audit, paging
from app.db.engine import Database, Session
from app.db.tables.auth import User

log = structlog.get_logger()
NO_SECOND = (
    "ASSAY_ADMIN_EMAIL made nobody: there is an admin already; `assay user create ADDRESS --role admin` makes others"
)


class Users:
    """All that is done to users. A changed role or password ends the access tokens signed before."""

    def __init__(self, database: Database, passwords: Passwords, authenticator: Authenticator, clock: Clock) -> None:
        self._database = database
        self._passwords = passwords
        self._authenticator = authenticator
        self._clock = clock

    async def create(self, email: str, password: str, role: Role) -> User:
        user = await self._add(email, password, role)
        if user is None:
            raise EmailTaken("a user with this e-mail address exists")
        return user

    async def ensure_first_admin(self, settings: Settings) -> bool:
        """Makes the admin of the settings where `first_admin` finds nobody; says whether it did."""
        if settings.admin_email is None or settings.admin_password is None:
            return False
        found = await self.first_admin(settings.admin_email)
        if found is not None:
            if found.email != normalised(settings.admin_email):
                log.warning(NO_SECOND)
            return False
        password = settings.admin_password.get_secret_value()
        return await self._add(settings.admin_email, password, Role.ADMIN) is not None

    async def first_admin(self, email: str) -> User | None:
        """The user of that address, or else the earliest admin who can log in."""
        async with self._database.read() as session:
            named = await repository.user_by_email(session, normalised(email))
            return named or await repository.first_active_admin(session)

    async def by_email(self, email: str) -> User:
        async with self._database.read() as session:
            user = await repository.user_by_email(session, normalised(email))
        if user is None:
            raise UserNotFound(f"no user has the address {email}")
        return user

    async def list(self, cursor: str | None, limit: int) -> paging.Page[User]:
        async with self._database.read() as session:
            rows = await repository.users(session, paging.number_after(cursor), limit + 1)
        return paging.cut(rows, limit, lambda user: str(user.id))

    async def change(
        self, user_id: int, *, role: Role | None = None, disabled: bool | None = None, password: str | None = None
    ) -> User:
        """What is None stays. A new password and being disabled end all log-ins."""
        hashed = None if password is None else await self._hash_new(user_id, password)
        async with self._database.write() as session:
            admins = await repository.lock_active_admins(session)
            user = await repository.user_by_id(session, user_id, lock=True)
            if user is None:
                raise UserNotFound(f"no user has the number {user_id}")
            was_admin = user.role == Role.ADMIN and user.disabled_at is None
            before = _seen(user)
            await self._apply(session, user, role=role, disabled=disabled, password_hash=hashed)
            if was_admin and admins == 1 and (user.role != Role.ADMIN or user.disabled_at is not None):
                raise LastAdmin("somebody must be able to manage users")
            await self._record_change(session, user, before, password=password is not None)
        self._authenticator.forget()
        return user

    async def _hash_new(self, user_id: int, password: str) -> str:
        """Hashed in no transaction: it takes its time, and waits for others. An address never changes."""
        async with self._database.read() as session:
            user = await repository.user_by_id(session, user_id)
        if user is None:
            raise UserNotFound(f"no user has the number {user_id}")
        return await self._passwords.hash_new(password, user.email)

    async def _apply(
        self, session: Session, user: User, *, role: Role | None, disabled: bool | None, password_hash: str | None
    ) -> None:
        now = to_datetime(self._clock.now_us())
        if role is not None and role != user.role:
            user.role = role
            user.token_version += 1
        if password_hash is not None:
            user.password_hash = password_hash
            user.token_version += 1
        if disabled is not None:
            user.disabled_at = (user.disabled_at or now) if disabled else None
        if password_hash is not None or disabled:
            await repository.revoke_log_ins_of(session, user.id, now)

    async def _record_change(self, session: Session, user: User, before: audit.Document, *, password: bool) -> None:
        after = _seen(user)
        await audit.record(
            session,
            to_datetime(self._clock.now_us()),
            "user.change",
            f"user:{user.id}",
            outcome="unchanged" if after == before else "done",
            before=before,
            after=after,
            role=user.role,
            disabled=user.disabled_at is not None,
            password=password,
        )

    async def _add(self, email: str, password: str, role: Role) -> User | None:
        hashed = await self._passwords.hash_new(password, email)
        now = to_datetime(self._clock.now_us())
        async with self._database.write() as session:
            user = await repository.add_user(session, email=normalised(email), password_hash=hashed, role=role, now=now)
            if user is not None:
                await audit.record(session, now, "user.create", f"user:{user.id}", after=_seen(user), role=role)
        return user


def _seen(user: User) -> dict[str, object]:
    """What the audit tells one state of a user from another by; the version grows with every new password."""
    return {
        "email": user.email,
        "role": user.role,
        "disabled": user.disabled_at is not None,
        "token_version": user.token_version,
    }
