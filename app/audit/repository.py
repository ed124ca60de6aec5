"""All SQL that reads the audit, and closes its hours; rows are written by `db.audit`."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.chain import leaf
from app.db.engine import ReadSession, Session
from app.db.tables.audit import AuditHeadTable, AuditLinkTable, AuditTable

LOCK = 0x0A55AD  # whoever writes a row holds it shared till its transaction ends: the migration 0005_identity
CLOSING = LOCK + 1
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows are asked for; None: whatever it is."""

    actor: str | None = None
    action: str | None = None
    thing: str | None = None
    outcome: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # exclusive


async def page(session: ReadSession, filters: Filters, below: int, limit: int) -> Sequence[AuditTable]:
    """The newest first; `below`: of numbers less than this, 0 for all."""
    query = select(AuditTable).order_by(AuditTable.id.desc()).limit(limit)
    for column, wanted in (
        (AuditTable.actor, filters.actor),
        (AuditTable.action, filters.action),
        (AuditTable.object, filters.thing),
        (AuditTable.outcome, filters.outcome),
        (AuditTable.request_id, filters.request_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if filters.since is not None:
        query = query.where(AuditTable.at >= filters.since)
    if filters.until is not None:
        query = query.where(AuditTable.at < filters.until)
    if below:
        query = query.where(AuditTable.id < below)
    return (await session.scalars(query)).all()


async def settled(session: Session) -> int | None:
    """The number up to which every row is there for good; None where there is none.

    Waits for those who are about to write one, and keeps others from it until the transaction ends, which must be soon.
    """
    await session.execute(text("set local lock_timeout = '3s'"))  # whoever waits behind this waits no longer than that
    await session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    return await session.scalar(select(func.max(AuditTable.id)))


async def close_alone(session: Session) -> None:
    """Of several who close hours, one after another does."""
    await session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": CLOSING})


async def last_link(session: AsyncSession) -> AuditLinkTable | None:
    return await session.scalar(select(AuditLinkTable).order_by(AuditLinkTable.hour.desc()).limit(1))


async def head(session: AsyncSession) -> AuditHeadTable | None:
    return await session.get(AuditHeadTable, True)


async def move_head(session: Session, moved: AuditHeadTable) -> None:
    """Makes it where there is none."""
    await session.merge(moved)


async def links(session: ReadSession) -> AsyncIterator[AuditLinkTable]:
    """All of them in order, one at a time: an hour can have many rows."""
    found = await session.scalars(select(AuditLinkTable.hour).order_by(AuditLinkTable.hour))
    for hour in found.all():
        yield await session.get_one(AuditLinkTable, hour)


async def earliest(session: Session, above: int, to: int) -> datetime | None:
    """The earliest moment at which one of these numbers was written."""
    # The offset keeps the planner from looking for it along the index of moments, which begins with the oldest rows.
    these = select(AuditTable.at).where(AuditTable.id > above, AuditTable.id <= to).offset(0).subquery()
    found: datetime | None = await session.scalar(select(func.min(these.c.at)))
    return found


async def last_before(session: Session, hour: datetime, above: int, to: int) -> int:
    """The number of the last row of these that was written before `hour`; `above` where there is none."""
    query = select(func.max(AuditTable.id)).where(AuditTable.id > above, AuditTable.id <= to, AuditTable.at < hour)
    return await session.scalar(query) or above


async def leaves(session: AsyncSession, above: int, to: int) -> dict[int, bytes]:
    """Of each of these rows what a link holds of it, by number and in order.

    Rows come a few at a time: an hour can have a million, where somebody tries passwords.
    """
    query = select(AuditTable).where(AuditTable.id > above, AuditTable.id <= to).order_by(AuditTable.id)
    rows = await session.stream_scalars(query.execution_options(yield_per=AT_ONCE))
    return {row.id: leaf(row) async for row in rows}


async def count_after(session: ReadSession, number: int, *, before: datetime | None = None) -> int:
    """`before`: of those alone that were written before it."""
    query = select(func.count()).where(AuditTable.id > number)
    return await session.scalar(query if before is None else query.where(AuditTable.at < before)) or 0
