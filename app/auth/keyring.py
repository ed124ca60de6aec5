"""The keys that sign access tokens, and those that did until the settings named another: they end after 24 hours.

Nobody has to write down when a key was changed: the first process that starts with a key among the retired ones says
so in the database, and all others count from then on.
"""

from collections.abc import Mapping, Sequence

from app.auth import repository
from app.auth.secret import secrets_of
from app.auth.tokens import TokenKey, Tokens, key_pair, shared_key
from app.core.clock import DAY, Clock, from_datetime, to_datetime
from app.core.settings import Settings
from app.db.engine import Database

VALID_US = DAY  # no access token lives longer


class KeyRing:
    """`settle` is called once the database is there; until then no retired key verifies anything."""

    def __init__(self, database: Database, tokens: Tokens, clock: Clock) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock

    async def settle(self) -> None:
        now, current = to_datetime(self._clock.now_us()), self._tokens.current
        ends: dict[str, int] = {}
        async with self._database.write() as session:
            await repository.note_signing_key(session, current.kid, current.algorithm, now, retired=False)
            for key in self._tokens.retired:
                since = await repository.note_signing_key(session, key.kid, key.algorithm, now, retired=True)
                ends[key.kid] = from_datetime(since or now) + VALID_US
        self._tokens.ends(ends)

    def public(self) -> list[Mapping[str, str]]:
        """The public keys that verify now, as JWKs."""
        return self._tokens.public()


def token_keys(settings: Settings) -> Sequence[TokenKey]:
    """The key that signs, then the retired ones: pairs where the settings have one, else the secrets; never both."""
    auth = settings.auth
    if auth.signing_key is not None:
        return [key_pair(key.get_secret_value()) for key in (auth.signing_key, *auth.retired_signing_keys)]
    return [shared_key(secret) for secret in secrets_of(settings)]
