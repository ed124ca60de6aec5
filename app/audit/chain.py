"""The chain's arithmetic: no SQL, no clock.

A link closes an hour. It holds the SHA-256 of every row of the hour (so that a row which is not as it was can be named)
and the digest over these and over the link before (so that links stand or fall together). Its seal is an HMAC with a
key that is not in the database: whoever can write there can rewrite rows and links, but not seals. The head says which
link is the last, under a seal of its own: links that are taken from the end are missed.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.core.clock import from_datetime
from app.db.tables.audit import AuditHeadTable, AuditLinkTable, AuditTable

START = bytes(32)  # stands for the link before the first
LEAF = 32  # bytes of SHA-256

Kind = Literal["changed", "removed", "inserted", "link", "head", "unknown", "cut", "beyond"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is not as it was closed. `row` None: it is the link of the hour itself, or the chain's end."""

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
        return self._fits(link, link.digest)

    def seal_head(self, head: AuditHeadTable) -> None:
        head.seal, head.sealed_with = self.seal(_told_by(head))

    def fits_head(self, head: AuditHeadTable) -> bool | None:
        """As `fits`."""
        return self._fits(head, _told_by(head))

    def current(self, head: AuditHeadTable) -> bool:
        """Whether it is sealed with the key that seals now."""
        return head.sealed_with == name_of(self._current)

    def _fits(self, sealed: AuditLinkTable | AuditHeadTable, told: bytes) -> bool | None:
        key = self._known.get(sealed.sealed_with)
        return None if key is None else hmac.compare_digest(hmac.digest(key, told, "sha256"), sealed.seal)


def name_of(key: bytes) -> str:
    return hashlib.sha256(b"assay audit key\0" + key).hexdigest()[:16]


def _told_by(head: AuditHeadTable) -> bytes:
    """Longer than a digest: no seal of a link is one of a head."""
    return b"head" + from_datetime(head.hour).to_bytes(8, "big") + head.digest


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


def digest_of(before: bytes, link: AuditLinkTable) -> bytes:
    """The digest of a link whose predecessor has the digest `before`."""
    told = [before.hex(), from_datetime(link.hour), link.last_id, list(link.ids), link.leaves.hex()]
    told += [] if link.number is None else [link.number]
    return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).digest()


def link_of(
    last: AuditLinkTable | None, hour: datetime, leaves: Mapping[int, bytes], keys: SealingKeys, at: datetime
) -> AuditLinkTable:
    """The link that follows the last one and closes the rows of `leaves`, which are not none and in order."""
    ids = list(leaves)
    link = AuditLinkTable(
        hour=hour,
        last_id=ids[-1],
        ids=ids,
        leaves=b"".join(leaves.values()),
        closed_at=at,
        number=1 if last is None or last.number is None else last.number + 1,
    )
    link.digest = digest_of(START if last is None else last.digest, link)
    link.seal, link.sealed_with = keys.seal(link.digest)
    return link


def head_of(link: AuditLinkTable, keys: SealingKeys) -> AuditHeadTable:
    """The head of a chain that ends with the link."""
    head = AuditHeadTable(one=True, hour=link.hour, digest=link.digest)
    keys.seal_head(head)
    return head


def end_findings(
    head: AuditHeadTable | None, last: AuditLinkTable | None, keys: SealingKeys, earlier: Sequence[bytes] = ()
) -> list[Finding]:
    """Whether the chain ends where its head says; `earlier` are the digests of links that stand before the last.

    A seal that can't be checked is as good as none: anybody can make one. A link with a number had a head above it.
    """
    if head is None:
        return [] if last is None or last.number is None else [Finding("head", last.hour)]
    fits = keys.fits_head(head)
    if not fits:
        return [Finding("unknown" if fits is None else "head", head.hour)]
    if last is not None and last.digest == head.digest:
        return []
    return [Finding("beyond" if head.digest in earlier else "cut", head.hour)]


def findings(before: bytes, link: AuditLinkTable, standing: Mapping[int, bytes], keys: SealingKeys) -> list[Finding]:
    """What of an hour is not as it was closed; `standing` are the leaves of the rows that are there now.

    Where the link itself is not what it was, it can't tell which rows are new, only which of its own are not right.
    """
    intact = link.digest == digest_of(before, link)
    intact = intact and keys.fits(link) is not False
    closed = {number: link.leaves[at * LEAF : (at + 1) * LEAF] for at, number in enumerate(link.ids)}
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
