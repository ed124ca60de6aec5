"""From the text in `Authorization` to a `Principal`; what was found holds for five seconds."""

import asyncio
import hashlib
import hmac
import re
from functools import partial
from uuid import UUID

from app.auth import repository
from app.auth.errors import Unauthenticated
from app.auth.principal import Principal
from app.auth.scopes import KEY_SCOPES, SCOPES_OF
from app.auth.tokens import Claims, Tokens
from app.auth.usage import KeyUsage
from app.core.cache import Remembered
from app.core.clock import DAY, SECOND, Clock, from_datetime, to_datetime
from app.db.engine import Database

FRESH_US = 5 * SECOND  # a revoked log-in or key is refused everywhere after this
MET_US = DAY  # who was let in is not taken for somebody who guesses
REMEMBERED = 10_000
Found = tuple[Principal, int]  # and how long it holds, in µs of the clock
KEY_FORM = re.compile(r"aqt_([a-z2-7]{12})_([A-Za-z0-9_-]{43})")


class Authenticator:
    """Knows callers by access token or API key. Anything else is `Unauthenticated`."""

    def __init__(self, database: Database, tokens: Tokens, usage: KeyUsage, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._usage = usage
        self._clock = clock
        self._known: Remembered[str, Principal] = Remembered(REMEMBERED)
        self._met: Remembered[str, bool] = Remembered(REMEMBERED)
        self._asked: dict[str, asyncio.Task[Found]] = {}

    def known(self, credential: str) -> Principal | None:
        """Whose it is, where that need not be asked again."""
        return self._known.get(credential, self._clock.now_us())

    def guessed(self, credential: str) -> bool:
        """Whether it may be: it is no token that we signed, and was not let in here when it was last asked about."""
        return KEY_FORM.fullmatch(credential) is not None and not self._met.get(credential, self._clock.now_us())

    def asks(self, credential: str) -> bool:
        """Whether it takes a query to know about it: a key, or a token that we signed and that has not expired."""
        return KEY_FORM.fullmatch(credential) is not None or self._tokens.verified(credential)

    async def principal(self, credential: str) -> Principal:
        known = self.known(credential)
        return known or (await asyncio.shield(self._asked.get(credential) or self._ask(credential)))[0]

    def forget(self) -> None:
        """Called when a right was taken away here; other processes notice within five seconds."""
        self._known.clear()
        self._asked.clear()

    def _ask(self, credential: str) -> "asyncio.Task[Found]":
        """One query for all who come with a credential meanwhile: a busy one must not take up every connection."""
        key = KEY_FORM.fullmatch(credential)
        work = self._of_key(key[1], key[2]) if key else self._of_user(self._tokens.verify(credential))
        asked = self._asked[credential] = asyncio.create_task(work)
        asked.add_done_callback(partial(self._answered, credential))
        return asked

    def _answered(self, credential: str, asked: "asyncio.Task[Found]") -> None:
        failed = asked.cancelled() or asked.exception() is not None
        if self._asked.get(credential) is not asked:
            return  # forgotten meanwhile: it may have read what was before
        del self._asked[credential]
        if failed:
            self._met.forget(credential)
        else:
            self._known.put(credential, *asked.result())
            self._met.put(credential, True, self._clock.now_us() + MET_US)

    async def _of_user(self, claims: Claims) -> Found:
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
        return principal, min(now + FRESH_US, claims.exp * SECOND)

    async def _of_key(self, key_id: str, secret: str) -> Found:
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
        return principal, end


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Unauthenticated("the access token is not valid") from error
