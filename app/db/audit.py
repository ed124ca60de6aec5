"""The line that goes with a change, in the change's own transaction: either both are there or neither is.

    await audit.record(session, now, "user.create", f"user:{user.id}", after=seen(user))

Who did it, from where and in which request comes from the request under way (`core.exchange`).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text

from app.core.exchange import current
from app.db.engine import Session

Outcome = Literal["done", "unchanged", "refused"]
Document = Mapping[str, Any]

ANYBODY = "anonymous"  # a caller who has not said who it is
ITSELF = "system"  # the process, asked by nobody

_COLUMNS = ("at", "actor", "address", "action", "object", "outcome", "before", "after", "details", "request_id")
# By hand and not by the mapped table: the database gives the number, and nothing is read back.
_INSERT = "insert into audit ({columns}) values ({values})"
_NAMED = text(
    _INSERT.format(
        columns=", ".join(_COLUMNS),
        values=", ".join("cast(:details as jsonb)" if name == "details" else f":{name}" for name in _COLUMNS),
    )
)
_NUMBERED = _INSERT.format(
    columns=", ".join(_COLUMNS),
    values=", ".join(f"${n}::text::jsonb" if name == "details" else f"${n}" for n, name in enumerate(_COLUMNS, 1)),
)


async def record(
    session: Session,
    at: datetime,
    action: str,
    thing: str,
    *,
    outcome: Outcome = "done",
    before: Document | None = None,
    after: Document | None = None,
    actor: str | None = None,
    **details: str | int | bool | None,
) -> None:
    """Writes one row. `action` is `noun.verb`, `thing` is `noun:id`; `actor` where it is not the caller.

    Of `before` and `after` only the SHA-256 is kept: it shows whether something is still as it was left, and holds
    nothing that anybody could have wanted to be deleted. `details` are what a reader must see, and never secrets.
    """
    row = _row(at, action, thing, outcome=outcome, before=before, after=after, actor=actor, details=details)
    await session.execute(_NAMED, row)


async def record_on(
    connection: Any,
    at: datetime,
    action: str,
    thing: str,
    *,
    outcome: Outcome = "done",
    **details: str | int | bool | None,
) -> None:
    """As `record`, in the transaction of an asyncpg connection."""
    row = _row(at, action, thing, outcome=outcome, details=details)
    await connection.execute(_NUMBERED, *(row[name] for name in _COLUMNS))


def _row(
    at: datetime,
    action: str,
    thing: str,
    *,
    outcome: Outcome = "done",
    before: Document | None = None,
    after: Document | None = None,
    actor: str | None = None,
    details: Document,
) -> dict[str, Any]:
    exchange = current()
    caller = ITSELF if exchange is None else exchange.principal or ANYBODY
    return {
        "at": at,
        "actor": actor or caller,
        "address": None if exchange is None else exchange.client or None,
        "action": action,
        "object": thing,
        "outcome": outcome,
        "before": fingerprint(before),
        "after": fingerprint(after),
        "details": json.dumps(details),
        "request_id": None if exchange is None else exchange.request_id,
    }


def fingerprint(document: Document | None) -> bytes | None:
    """SHA-256 of a document's canonical JSON.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    if document is None:
        return None
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).digest()
