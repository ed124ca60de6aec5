"""From the text in `Authorization` to a `Principal`; what was found holds for five seconds."""

import hashlib
import hmac
import re
from uuid import UUID

from app.auth import repository
from app.auth.errors import Unauthenticated
from app.auth.principal import Principal
from app.auth.scopes import KEY_SCOPES, SCOPES_OF
from app.auth.tokens import Claims, Tokens
from app.auth.usage import KeyUsage
from app.core.cache import Remembered
from app.core.clock import SECOND, Clock, from_datetime, to_datetime
from app.db.engine import Database

FRESH_US = 5 * SECOND  # a revoked log-in or key is refused everywhere after this
REMEMBERED = 10_000
KEY_FORM = re.compile(r"aqt_([a-z2-7]{12})_([A-Za-z0-9_-]{43})")


class Authenticator:
    """Knows callers by access token or API key. Anything else is `Unauthenticated`."""

    def __init__(self, database: Database, tokens: Tokens, usage: KeyUsage, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._usage = usage
        self._clock = clock
        self._known: Remembered[str, Principal] = Remembered(REMEMBERED)

    async def principal(self, credential: str) -> Principal:
        known = self._known.get(credential, self._clock.now_us())
        if known is not None:
            return known
        key = KEY_FORM.fullmatch(credential)
        if key is not None:
            return await self._of_key(credential, key[1], key[2])
        return await self._of_user(credential, self._tokens.verify(credential))

    def forget(self) -> None:
        """Called when a right was taken away here; other processes notice within five seconds."""
        self._known.clear()

    async def _of_user(self, token: str, claims: Claims) -> Principal:
        now = self._clock.now_us()
        async with self._database.read() as session:
            standing = await repository.standing(session, _uuid(claims.sid), to_datetime(now))
        if standing is None or standing.token_version != claims.ver or claims.sub != f"user:{standing.user_id}":
            raise Unauthenticated("the access token is not valid any more")
        principal = Principal(
            subject=claims.sub,
            kind="user",
            scopes=SCOPES_OF[standing.role],
            name=standing.email,
            role=standing.role,
            user_id=standing.user_id,
            session_id=claims.sid,
        )
        self._known.put(token, principal, min(now + FRESH_US, claims.exp * SECOND))
        return principal

    async def _of_key(self, credential: str, key_id: str, secret: str) -> Principal:
        now = self._clock.now_us()
        async with self._database.read() as session:
            key = await repository.api_key(session, key_id, to_datetime(now))
        digest = hashlib.sha256(secret.encode()).digest()
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise Unauthenticated("the API key is not valid")
        self._usage.note(key.id)
        principal = Principal(
            subject=f"key:{key.id}",
            kind="key",
            scopes=frozenset(key.scopes) & KEY_SCOPES,
            models=None if key.models is None else tuple(key.models),
            name=key.name,
            key_id=key.id,
        )
        end = now + FRESH_US if key.expires_at is None else min(now + FRESH_US, from_datetime(key.expires_at))
        self._known.put(credential, principal, end)
        return principal


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Unauthenticated("the access token is not valid") from error
