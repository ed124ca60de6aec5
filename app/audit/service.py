"""The use cases of the audit: look something up, close the hours that are over, see whether all is as it was closed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.audit import chain, repository
from app.audit.chain import Finding, SealingKeys
from app.audit.repository import Filters
from app.auth.secret import derived, secrets_of
from app.core.clock import Clock, to_datetime
from app.core.settings import Settings
from app.db import audit, paging
from app.db.engine import Database
from app.db.tables.audit import AuditLinkTable, AuditTable
from app.jobs import repository as jobs

log = structlog.get_logger()

HOUR = timedelta(hours=1)
OVERDUE = 2 * HOUR  # an hour is closed three minutes after its end, or at the next start of a worker
CLOSING = "audit.close"  # the job that closes hours
TRIED = timedelta(days=30)  # for as long jobs are kept
STEP = timedelta(microseconds=1)  # by so much names grow where rows come late, or after one of a clock that ran ahead
BELOW_ALL = -(2**63)  # the database gives numbers from 1 on; who puts a row in may choose another


class AuditLog:
    """What was done, the newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, filters: Filters, *, cursor: str | None, limit: int) -> paging.Page[AuditTable]:
        below = paging.number_after(cursor, digits=paging.MAX_LONG_DIGITS)
        async with self._database.read() as session:
            rows = await repository.page(session, filters, below, limit + 1)
        return paging.cut(rows, limit, lambda row: str(row.id))


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` saw."""

    rows: int  # of closed hours
    digests: tuple[str, ...]  # of the links, in order; the last vouches for all before
    still_open: int  # rows after the last closed hour, for which nothing vouches yet
    overdue: int  # of these, written longer ago than a worker would leave them
    unattended: bool  # no hour was ever closed here, nor did a worker try to
    unknown_seals: int  # links sealed with a secret that is not known any more
    findings: tuple[Finding, ...]


def sealing_keys(settings: Settings) -> SealingKeys:
    """The keys of the secrets that are known here."""
    current, *earlier = (derived(secret, "audit seals") for secret in secrets_of(settings))
    return SealingKeys(current, earlier)


class UnknownSecretError(Exception):
    """Nobody here can tell whether the chain ends where it should, so nothing is added to it."""

    def __init__(self) -> None:
        super().__init__(
            "no hour is closed: the audit's chain is sealed with another secret than those known here. Where it was "
            "changed, put the earlier one into ASSAY_AUTH__RETIRED_SECRETS (it may be in secrets/auth.key of the "
            "data directory); where it is lost, see `assay audit reseal --help`"
        )


class AuditChain:
    """Closes hours, and compares the rows with what was closed."""

    def __init__(self, database: Database, clock: Clock, keys: SealingKeys) -> None:
        self._database = database
        self._clock = clock
        self._keys = keys

    async def close_hours(self) -> int:
        """Closes every hour that is over and has rows, one transaction each, and says how many.

        Harmless at any time and from any number of processes. Raises `UnknownSecretError`.
        """
        closed = 0
        while await self._close_next():
            closed += 1
        await self._seal_head_anew()
        return closed

    async def verify(self) -> Report:
        """Of one snapshot: names each row of a closed hour that was changed, removed or put in, and each such link, and
        tells where hours were taken from the chain's end."""
        seen, unknown, last_id = 0, 0, BELOW_ALL
        last: AuditLinkTable | None = None
        digests: list[bytes] = []
        found: list[Finding] = []
        async with self._database.read() as session:
            async for link in repository.links(session):
                leaves = await repository.leaves(session, last_id, link.last_id)
                found += chain.findings(digests[-1] if digests else chain.START, link, leaves, self._keys)
                unknown += self._keys.fits(link) is None
                digests.append(link.digest)
                seen, last_id, last = seen + len(leaves), link.last_id, link
                session.expunge_all()  # a long chain needs the memory of one hour
            found += chain.end_findings(await repository.head(session), last, self._keys, digests[:-1])
            still_open = await repository.count_after(session, last_id)
            before = to_datetime(self._clock.now_us()) - OVERDUE
            overdue = await repository.count_after(session, last_id, before=before)
        told = tuple(digest.hex() for digest in digests)
        unattended = not digests and not await self._tried()
        return Report(seen, told, still_open, overdue, unattended, unknown, tuple(found))

    async def reseal(self) -> Finding | None:
        """Vouches for the chain as it ends now, with the secret of now, and writes that into the audit.

        What was wrong with its end; None where nothing was, or no hour is closed, and then nothing is written.
        """
        async with self._database.write() as session:
            await repository.close_alone(session)
            last, head = await repository.last_link(session), await repository.head(session)
            found = chain.end_findings(head, last, self._keys)
            if last is None or not found:
                return None
            await repository.move_head(session, chain.head_of(last, self._keys))
            now, wrong = to_datetime(self._clock.now_us()), found[0]
            await audit.record(session, now, "audit.reseal", f"audit:{last.hour.isoformat()}", found=wrong.kind)
        return wrong

    async def _tried(self) -> bool:
        async with self._database.connection() as connection:
            return await jobs.created_since(connection, CLOSING, to_datetime(self._clock.now_us()) - TRIED)

    async def _close_next(self) -> bool:
        async with self._database.write() as session:  # of its own: while it lasts, nothing else can be changed
            settled = await repository.settled(session)
        if settled is None:
            return False
        now = to_datetime(self._clock.now_us())
        async with self._database.write() as session:
            await repository.close_alone(session)
            last, head = await repository.last_link(session), await repository.head(session)
            if head is not None and self._keys.fits_head(head) is None:
                raise UnknownSecretError
            above = BELOW_ALL if last is None else last.last_id
            earliest = await repository.earliest(session, above, settled)
            if earliest is None:
                return False
            until = _end_of(earliest)
            if until > now:
                return False
            # What is dated later goes with it where its number is lower: a clock that ran ahead holds nothing up.
            to = await repository.last_before(session, until, above, settled)
            hour = until if last is None else max(until, last.hour + STEP)
            leaves = await repository.leaves(session, above, to)
            link = chain.link_of(last, hour, leaves, self._keys, now)
            session.add(link)
            cut = chain.end_findings(head, last, self._keys)
            if not cut:  # else it stays where it is, as the witness
                await repository.move_head(session, chain.head_of(link, self._keys))
        if cut:
            log.error("the audit's chain does not end where its head says: run `assay audit verify`")
        # The log is kept elsewhere: with a digest from there `assay audit verify --holds` sees a chain made anew.
        log.info("an hour of the audit is closed", hour=hour.isoformat(), rows=len(leaves), digest=link.digest.hex())
        return True

    async def _seal_head_anew(self) -> None:
        """With the secret of now, while the earlier one is known that vouches for it."""
        async with self._database.write() as session:
            await repository.close_alone(session)
            head = await repository.head(session)
            if head is not None and not self._keys.current(head) and self._keys.fits_head(head):
                self._keys.seal_head(head)


def _end_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0) + HOUR
