"""SQL of predictions: the direct road (COPY into the primary key), the slow one, and reading one back."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from app.core.clock import to_datetime
from app.tracking.arrival import STUB
from app.tracking.digests import key_digest
from app.tracking.repository.wire import POSTGRES_EPOCH, moments

COLUMNS = ("key", "place", "content", "predicted_at", "score", "context_id", "predicted", "scores")

_STANDING = np.dtype([("row", ">i4"), ("place", ">i8"), ("content", ">i8")])

# unnest, not a temporary table: as fast (measured), and it works behind a transaction pooler. Function scans keep the
# order of the arrays, which is key order.
_STAND = """
select string_agg(int4send(u.row::int4) || int8send(p.place) || int8send(p.content), ''::bytea)
from unnest($1::bytea[]) with ordinality u (key, row) join prediction p on p.key = u.key
"""
_INSERT = """
insert into prediction as p (key, place, content, predicted_at, score, context_id, predicted, scores)
select s.key, s.place, s.content, $9::timestamptz + s.predicted_us * interval '1 microsecond', s.score, s.context_id,
    s.predicted, s.scores
from unnest($1::bytea[], $2::int8[], $3::int8[], $4::int8[], $5::float8[], $6::int4[], $7::int2[], $8::bytea[])
    as s (key, place, content, predicted_us, score, context_id, predicted, scores)
on conflict (key) do update set place = excluded.place, content = excluded.content,
    predicted_at = excluded.predicted_at, score = excluded.score, context_id = excluded.context_id,
    predicted = excluded.predicted, scores = excluded.scores
where p.place < 0
returning p.place
"""
# one pass in key order: what is not there is put there, what is there is locked and left as it is
_STUBS = """
insert into prediction as p (key, place, content, predicted_at, score, context_id, predicted)
select s.key, $2, 0, $3, 'NaN', 0, 0 from unnest($1::bytea[]) s (key)
on conflict (key) do update set place = p.place where p.place < $2
returning p.key
"""
_ONE = """
select p.place, p.predicted_at, p.score, p.context_id, p.predicted, p.scores, c.version_no, c.segment_nos
from prediction p left join context c using (context_id) where p.key = $1
"""
_BLOCK = "select known_from, body from block where block_id = $1"


class KeyTaken(Exception):  # noqa: N818  not an error: it says which road to take
    """A key is in the table already."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What stands under some of the keys asked for: `row` is the place in the question."""

    row: NDArray[np.intp]
    place: NDArray[np.int64]
    content: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Found:
    """A prediction as it stands in the key's row."""

    place: int
    predicted_at: datetime
    score: float
    context_id: int
    predicted: int
    scores: bytes | None
    version_no: int | None
    segment_nos: Sequence[int] | None


async def copy(connection: Any, stream: bytes) -> None:
    """Puts predictions straight into the primary key. Raises `KeyTaken`; the transaction is lost then."""
    try:
        await connection.copy_to_table("prediction", source=once(stream), columns=COLUMNS, format="binary")
    except asyncpg.UniqueViolationError:
        raise KeyTaken from None


async def standing(connection: Any, keys: Sequence[bytes]) -> Standing:
    """Which keys are there, stubs too."""
    packed = np.frombuffer(await connection.fetchval(_STAND, keys) or b"", _STANDING)
    return Standing(
        packed["row"].astype(np.intp) - 1, packed["place"].astype(np.int64), packed["content"].astype(np.int64)
    )


async def insert(connection: Any, keys: Sequence[bytes], columns: Sequence[NDArray[Any]], scores: Any) -> list[int]:
    """Puts predictions under keys that are free or hold a stub; the places that were taken.

    `columns`: place, content, predicted_at (us), score, context_id, predicted, in the order of `keys`, which is key
    order. Whatever stands under the other keys is locked until the transaction ends.
    """
    place, content, predicted_at, *rest = columns
    rows = await connection.fetch(
        _INSERT,
        *(keys, place.tolist(), content.tolist(), moments(predicted_at).tolist()),
        *(column.tolist() for column in rest),
        scores,
        POSTGRES_EPOCH,
    )
    return [row[0] for row in rows]


async def put_stubs(connection: Any, keys: Sequence[bytes], now_us: int) -> set[bytes]:
    """Puts a stub under each free key, in key order, and locks what stands under the others; the keys of new stubs."""
    rows = await connection.fetch(_STUBS, keys, STUB, to_datetime(now_us))
    return {row[0] for row in rows}


async def find(connection: Any, key: bytes) -> Found | None:
    row = await connection.fetchrow(_ONE, key)
    return Found(*row) if row else None


async def block_body(connection: Any, block_id: int) -> tuple[datetime, bytes] | None:
    """When the block arrived (ordinary ones) and its body; None where retention dropped it."""
    row = await connection.fetchrow(_BLOCK, block_id)
    return (row[0], row[1]) if row else None


async def add_subjects(connection: Any, model_no: int, subjects: Sequence[bytes], places: Sequence[int]) -> None:
    await connection.execute(
        "insert into subject (model_no, subject, place) select $1, * from unnest($2::bytea[], $3::int8[])",
        model_no,
        subjects,
        places,
    )


async def subject_secret(connection: Any) -> bytes:
    """The key under which subjects are hashed; made with the database, so that it lives and moves with its rows."""
    secret: bytes = await connection.fetchval("select secret from subject_secret")
    return secret


async def erased(connection: Any, model_no: int, keys: Sequence[bytes]) -> list[bool]:
    """Which of the keys were erased. Where nothing of the model ever was, nothing is hashed."""
    if not await connection.fetchval("select exists (select from erased where model_no = $1)", model_no):
        return [False] * len(keys)
    secret = await subject_secret(connection)
    digests = [key_digest(secret, key) for key in keys]
    rows = await connection.fetch(
        "select digest from erased where model_no = $1 and digest = any($2::bytea[])", model_no, digests
    )
    gone = {row[0] for row in rows}
    return [digest in gone for digest in digests]


async def once(stream: bytes) -> AsyncIterator[bytes]:
    """The stream as the driver wants it; a file object would be read in another thread."""
    yield stream


async def drop_stubs(connection: Any, keys: Sequence[bytes]) -> None:
    """Takes away the stubs under these keys."""
    await connection.execute("delete from prediction where key = any($1::bytea[]) and place = $2", keys, STUB)
