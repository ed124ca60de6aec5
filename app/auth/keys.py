"""API keys for machines: `aqt_<id>_<secret>`, shown once, kept as a hash, limited to scopes and models."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.auth import repository
from app.auth.authenticate import Authenticator
from app.auth.errors import ApiKeyNotFound
from app.auth.principal import Principal
from app.core.clock import Clock, to_datetime
from app.core.errors import InvalidRequest, Place
from app.db import audit, paging
from app.db.engine import Database
from app.db.tables.auth import ApiKey


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and, this once, its text."""

    key: ApiKey
    text: str


class ApiKeys:
    """Made, listed and revoked by admins."""

    def __init__(self, database: Database, authenticator: Authenticator, clock: Clock) -> None:
        self._database = database
        self._authenticator = authenticator
        self._clock = clock

    async def create(
        self,
        creator: Principal,
        *,
        name: str,
        scopes: Sequence[str],
        models: Sequence[str] | None = None,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """Raises `InvalidRequest` for a key that would have ended before it began."""
        now = to_datetime(self._clock.now_us())
        if expires_at is not None and expires_at <= now:
            raise InvalidRequest("the key would have ended already", places=[Place("/expires_at", "past", "is past")])
        identity = base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]
        secret = secrets.token_urlsafe(32)
        key = ApiKey(
            id=identity,
            digest=hashlib.sha256(secret.encode()).digest(),
            name=name,
            scopes=sorted(set(scopes)),
            models=None if models is None else sorted(set(models)),
            created_by=creator.user_id,
            created_at=now,
            expires_at=expires_at,
        )
        async with self._database.write() as session:
            session.add(key)
            await audit.record(session, now, "api-key.create", f"key:{key.id}", after=_seen(key), name=name)
        return NewKey(key, f"aqt_{identity}_{secret}")

    async def list(self, cursor: str | None, limit: int) -> paging.Page[ApiKey]:
        async with self._database.read() as session:
            rows = await repository.api_keys(session, paging.after(cursor) or "", limit + 1)
        return paging.cut(rows, limit, lambda key: key.id)

    async def revoke(self, key_id: str) -> None:
        now = to_datetime(self._clock.now_us())
        async with self._database.write() as session:
            key = await repository.revoke_api_key(session, key_id, now)
            if key is None:
                raise ApiKeyNotFound(f"no active API key has the id {key_id}")
            before = {**_seen(key), "revoked": False}
            await audit.record(session, now, "api-key.revoke", f"key:{key_id}", before=before, after=_seen(key))
        self._authenticator.forget()


def _seen(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "scopes": key.scopes,
        "models": key.models,
        "expires_at": key.expires_at,
        "revoked": key.revoked_at is not None,
    }
