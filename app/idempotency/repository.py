"""All SQL of requests that are carried out once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from app.db.engine import Session
from app.db.tables.audit import AuditTable
from app.db.tables.idempotency import IdempotencyTable

SWEPT_AT_ONCE = 10_000  # rows of one transaction


@dataclass(frozen=True, slots=True)
class Key:
    """An `Idempotency-Key` of one caller."""

    principal: str
    digest: bytes


async def claim(session: Session, key: Key, values: Mapping[str, Any], now: datetime) -> bool:
    """Whether the key was free, or its time was over; of two at once, one gets it."""
    row = {"status": None, "answer": None, **values}
    statement = insert(IdempotencyTable).values(principal=key.principal, key_digest=key.digest, **row)
    taken = statement.on_conflict_do_update(
        index_elements=["principal", "key_digest"], set_=row, where=IdempotencyTable.expires_at <= now
    ).returning(IdempotencyTable.principal)
    return await session.scalar(taken) is not None


async def find(session: AsyncSession, key: Key) -> IdempotencyTable | None:
    return await session.get(IdempotencyTable, (key.principal, key.digest))


async def take_over(session: Session, key: Key, request_id: str, values: Mapping[str, Any]) -> bool:
    """From the request that claimed it and never answered; of two at once, one gets it."""
    statement = _of_request(update(IdempotencyTable), key, request_id).values(**values)
    return await session.scalar(statement.returning(IdempotencyTable.principal)) is not None


async def keep(session: Session, key: Key, request_id: str, status: int, answer: bytes) -> None:
    await session.execute(_of_request(update(IdempotencyTable), key, request_id).values(status=status, answer=answer))


async def release(session: Session, key: Key, request_id: str) -> None:
    await session.execute(_of_request(delete(IdempotencyTable), key, request_id))


async def was_carried_out(session: AsyncSession, row: IdempotencyTable) -> bool:
    """Every change leaves a row in the audit, in its own transaction: that tells whether it was committed."""
    found = exists().where(
        AuditTable.request_id == row.request_id,
        AuditTable.actor == row.principal,
        AuditTable.at >= row.claimed_at,
    )
    return bool(await session.scalar(select(found)))


async def sweep(session: Session, now: datetime) -> int:
    """Drops some whose time is over, and says how many."""
    over = (
        select(IdempotencyTable.principal, IdempotencyTable.key_digest)
        .where(IdempotencyTable.expires_at <= now)
        .limit(SWEPT_AT_ONCE)
        .with_for_update(skip_locked=True)
        .subquery()
    )
    gone = (
        delete(IdempotencyTable)
        .where(*_same(over.c.principal, over.c.key_digest))
        .returning(IdempotencyTable.principal)
        .cte()
    )
    return await session.scalar(select(func.count()).select_from(gone)) or 0


def _same(principal: Any, digest: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return IdempotencyTable.principal == principal, IdempotencyTable.key_digest == digest


def _of_request(statement: Any, key: Key, request_id: str) -> Any:
    """Only while it is that request's, and has no answer."""
    return statement.where(
        *_same(key.principal, key.digest),
        IdempotencyTable.request_id == request_id,
        IdempotencyTable.status.is_(None),
    )
