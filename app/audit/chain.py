"""The chain's arithmetic: no SQL, no clock.

A link closes an hour. It holds the SHA-256 of every row of the hour (so that a row which is not as it was can be named)
and the digest over these and over the link before (so that links stand or fall together). Its seal is an HMAC with a
key that is not in the database: whoever can write there can rewrite rows and links, but not seals.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.core.clock import from_datetime
from app.db.tables.audit import AuditLinkTable, AuditTable

START = bytes(32)  # stands for the link before the first
LEAF = 32  # bytes of SHA-256

Kind = Literal["changed", "removed", "inserted", "link"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is not as it was closed. `row` None: it is the link of the hour itself."""

    kind: Kind
    hour: datetime  # its end
    row: int | None = None


class SealingKeys:
    """The key that seals, and those of earlier secrets, which still tell whether a seal is right."""

    def __init__(self, current: bytes, earlier: Sequence[bytes] = ()) -> None:
        self._current = current
        self._known: Mapping[str, bytes] = {name_of(key): key for key in (*earlier, current)}

    def seal(self, digest: bytes) -> tuple[bytes, str]:
        """The seal, and the name of the key."""
        return hmac.digest(self._current, digest, "sha256"), name_of(self._current)

    def fits(self, link: AuditLinkTable) -> bool | None:
        """None where the key is not known here."""
        key = self._known.get(link.sealed_with)
        return None if key is None else hmac.compare_digest(hmac.digest(key, link.digest, "sha256"), link.seal)


def name_of(key: bytes) -> str:
    return hashlib.sha256(b"assay audit key\0" + key).hexdigest()[:16]


def leaf(row: AuditTable) -> bytes:
    """SHA-256 of all that a row says."""
    told = [
        row.id,
        from_datetime(row.at),
        row.actor,
        row.address,
        row.action,
        row.object,
        row.outcome,
        None if row.before is None else row.before.hex(),
        None if row.after is None else row.after.hex(),
        row.details,
        row.request_id,
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).digest()


def digest_of(before: bytes, hour: datetime, last_id: int, ids: Sequence[int], leaves: bytes) -> bytes:
    """The digest of a link whose predecessor has the digest `before`."""
    told = json.dumps([before.hex(), from_datetime(hour), last_id, list(ids), leaves.hex()], separators=(",", ":"))
    return hashlib.sha256(told.encode()).digest()


def link_of(
    before: bytes, hour: datetime, rows: Sequence[AuditTable], keys: SealingKeys, at: datetime
) -> AuditLinkTable:
    """The link that closes `rows`, which are not none and in order."""
    ids, leaves = [row.id for row in rows], b"".join(map(leaf, rows))
    digest = digest_of(before, hour, ids[-1], ids, leaves)
    seal, name = keys.seal(digest)
    return AuditLinkTable(
        hour=hour,
        last_id=ids[-1],
        ids=ids,
        leaves=leaves,
        digest=digest,
        seal=seal,
        sealed_with=name,
        closed_at=at,
    )


def findings(before: bytes, link: AuditLinkTable, rows: Sequence[AuditTable], keys: SealingKeys) -> list[Finding]:
    """What of an hour is not as it was closed; `rows` are those that stand there now.

    Where the link itself is not what it was, it can't tell which rows are new, only which of its own are not right.
    """
    intact = link.digest == digest_of(before, link.hour, link.last_id, link.ids, link.leaves)
    intact = intact and keys.fits(link) is not False
    closed = {number: link.leaves[at * LEAF : (at + 1) * LEAF] for at, number in enumerate(link.ids)}
    standing = {row.id: leaf(row) for row in rows}
    found = [] if intact else [Finding("link", link.hour)]
    found += [Finding("removed", link.hour, number) for number in closed if number not in standing]
    found += [
        Finding("changed", link.hour, number)
        for number, now in standing.items()
        if number in closed and closed[number] != now
    ]
    if intact:
        found += [Finding("inserted", link.hour, number) for number in standing if number not in closed]
    return found
