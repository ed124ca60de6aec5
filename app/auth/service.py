"""Logging in, staying logged in, logging out.

A refresh token is 256 random bits of which only the SHA-256 is kept. Each use makes its successor; a second use tells
that two hold it, and ends the log-in. The one exception is a client that lost the answer: the same client within ten
seconds gets the same successor again. So that nothing but hashes is stored, a successor is derived from its
predecessor with a key of ours.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID, uuid4

from app.auth import repository
from app.auth.authenticate import Authenticator
from app.auth.errors import InvalidCredentials, InvalidRefreshToken, NoLogIn
from app.auth.passwords import Passwords
from app.auth.principal import Principal
from app.auth.scopes import SCOPES_OF, Role
from app.auth.tokens import Tokens
from app.core import telemetry
from app.core.clock import Clock, to_datetime
from app.core.emails import normalised
from app.db import audit
from app.db.engine import Database, Session
from app.db.tables.auth import LogIn, RefreshToken, User

IDLE = timedelta(days=7)  # OWASP ASVS 10.4.8: an unused refresh token ends
ABSOLUTE = timedelta(days=30)  # and so does a used one
GRACE = timedelta(seconds=10)  # an answer that was lost is asked for again at once or never
PREFIX = "aqr_"  # lets secret scanners know it


@dataclass(frozen=True, slots=True)
class Grant:
    """What a log-in or a refresh gives."""

    access_token: str
    refresh_token: str
    expires_in: int
    scope: str


class _Outcome(Enum):
    """Why a refresh token gives nothing."""

    UNKNOWN = "unknown"
    ENDED = "ended"
    REUSED = "reused"


class LogIns:
    """The use cases of people's log-ins. `client` is whatever tells one client from another."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        passwords: Passwords,
        authenticator: Authenticator,
        clock: Clock,
        *,
        successor_key: bytes,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._passwords = passwords
        self._authenticator = authenticator
        self._clock = clock
        self._successor_key = successor_key

    async def log_in(self, email: str, password: str) -> Grant:
        async with self._database.read() as session:
            user = await repository.user_by_email(session, normalised(email))
        fits = await self._passwords.verify(None if user is None else user.password_hash, password)
        now = to_datetime(self._clock.now_us())
        refresh = PREFIX + secrets.token_urlsafe(32)
        begun = await self._begin(user, refresh, now) if fits and user is not None else None
        if begun is None:
            await self._refused(now, email, user)
            raise InvalidCredentials("the account or the password is wrong")
        telemetry.AUTHENTICATIONS.labels("password", "accepted").inc()
        return begun

    async def refresh(self, token: str, client: str) -> Grant:
        """Rotates. What ends a log-in is committed before the refusal is raised."""
        async with self._database.write() as session:
            result = await self._rotate(session, token, _digest(client))
        if isinstance(result, Grant):
            telemetry.AUTHENTICATIONS.labels("refresh", "accepted").inc()
            return result
        telemetry.AUTHENTICATIONS.labels("refresh", result.value).inc()
        if result is _Outcome.REUSED:
            self._authenticator.forget()
        raise InvalidRefreshToken("log in again")

    async def log_out(self, principal: Principal) -> None:
        """Ends the log-in that the principal's token came from: its refresh tokens, and all its access tokens."""
        if principal.session_id is None:
            raise NoLogIn("an API key is not logged in; to end it, an admin revokes it")
        now = to_datetime(self._clock.now_us())
        async with self._database.write() as session:
            await repository.revoke_log_in(session, UUID(principal.session_id), now)
            await audit.record(session, now, "log-in.end", f"log-in:{principal.session_id}")
        self._authenticator.forget()

    async def _begin(self, checked: User, refresh: str, now: datetime) -> Grant | None:
        """None where the user is not as he was when his password was checked: whoever changed it meanwhile has ended
        his log-ins, and this one would outlive that. Locked, so that a change comes before all this or after it."""
        log_in = LogIn(id=uuid4(), user_id=checked.id, created_at=now, ends_at=now + ABSOLUTE)
        async with self._database.write() as session:
            user = await repository.user_by_id(session, checked.id, lock=True)
            if user is None or user.disabled_at is not None or _version(user) != _version(checked):
                return None
            await repository.drop_ended_log_ins(session, user.id, now)
            await repository.add_log_in(session, log_in)
            session.add(RefreshToken(digest=_digest(refresh), log_in_id=log_in.id, expires_at=now + IDLE))
            await audit.record(session, now, "log-in.begin", f"log-in:{log_in.id}", actor=f"user:{user.id}")
        return self._grant(log_in, user, refresh)

    async def _refused(self, now: datetime, email: str, user: User | None) -> None:
        """A row of the audit, also for an account that there is not: both cost the same, and guessing is seen.

        What was typed may be a password in the wrong field, so it stands there by a keyed hash.
        """
        typed = hmac.digest(self._successor_key, b"account " + _digest(normalised(email)), hashlib.sha256)
        thing = f"account:{typed.hex()[:32]}" if user is None else f"user:{user.id}"
        async with self._database.write() as session:
            await audit.record(session, now, "log-in.begin", thing, outcome="refused", actor=audit.ANYBODY)
        telemetry.AUTHENTICATIONS.labels("password", "refused").inc()

    async def _rotate(self, session: Session, token: str, client: bytes) -> Grant | _Outcome:
        now = to_datetime(self._clock.now_us())
        used = await repository.use_refresh_token(session, _digest(token), client, now)
        if used is None:
            return await self._again(session, token, client)
        found = await repository.open_log_in(session, used.log_in_id, now)
        if found is None or used.expires_at <= now:
            return _Outcome.ENDED
        log_in, user = found
        successor = self._successor(token)
        expires = min(now + IDLE, log_in.ends_at)
        session.add(RefreshToken(digest=_digest(successor), log_in_id=log_in.id, expires_at=expires))
        await audit.record(session, now, "log-in.refresh", f"log-in:{log_in.id}", actor=f"user:{user.id}")
        return self._grant(log_in, user, successor)

    async def _again(self, session: Session, token: str, client: bytes) -> Grant | _Outcome:
        """A token that is not there to be used: never was, or was used before."""
        now = to_datetime(self._clock.now_us())
        known = await repository.refresh_token(session, _digest(token))
        if known is None:
            return _Outcome.UNKNOWN
        found = await repository.open_log_in(session, known.log_in_id, now)
        if found is None:
            return _Outcome.ENDED
        successor = self._successor(token)
        following = await repository.refresh_token(session, _digest(successor))
        prompt = known.used_at is not None and now - known.used_at <= GRACE
        same_client = known.used_by is not None and hmac.compare_digest(known.used_by, client)
        thing = f"log-in:{known.log_in_id}"
        if prompt and same_client and following is not None and following.used_at is None:
            owner = f"user:{found[1].id}"
            await audit.record(session, now, "log-in.refresh", thing, outcome="unchanged", actor=owner)
            return self._grant(*found, successor)
        await repository.revoke_log_in(session, known.log_in_id, now)
        await audit.record(session, now, "log-in.refresh", thing, outcome="refused", reason="reused")
        return _Outcome.REUSED

    def _successor(self, token: str) -> str:
        derived = hmac.digest(self._successor_key, token.encode(), hashlib.sha256)
        return PREFIX + base64.urlsafe_b64encode(derived).rstrip(b"=").decode()

    def _grant(self, log_in: LogIn, user: User, refresh: str) -> Grant:
        scope = " ".join(sorted(SCOPES_OF[Role(user.role)]))
        access = self._tokens.sign(
            subject=f"user:{user.id}", session_id=str(log_in.id), version=user.token_version, scope=scope
        )
        return Grant(access, refresh, self._tokens.expiry_s, scope)


def _version(user: User) -> tuple[str, int]:
    """Another one where the password or the role was changed."""
    return user.password_hash, user.token_version


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
