"""SQL of the raw rows: what as-of tails, rebuilds and feature histograms count again."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import from_datetime, to_datetime
from app.tracking.arrival import ROW_BITS
from app.tracking.block import Block, unpack

BLOCKS_AT_ONCE = 64  # at most 4 million rows, usually 64,000
LABELS_AT_ONCE = 200_000  # about 12 MB

_PG_EPOCH_US = 946_684_800_000_000  # timestamptz is sent as microseconds since 2000-01-01
_ROW = np.dtype(
    [
        ("place", ">i8"),
        ("predicted_at", ">i8"),
        ("known_at", ">i8"),
        ("score", ">f8"),
        ("actual", ">f8"),
        ("replaces", ">f8"),
        ("context_id", ">i4"),
        ("predicted", ">i2"),
        ("scores", ">i4"),
    ]
)
# One packed value: numpy reads it without a Python object per row. `scores` is the size of a vector that follows apart.
_LABEL_COLUMNS = (
    "string_agg(int8send(place) || timestamptz_send(predicted_at) || timestamptz_send(known_at) || float8send(score) "
    "|| float8send(actual) || float8send(coalesce(replaces, 'NaN')) || int4send(context_id) || int2send(predicted) "
    "|| int4send(coalesce(octet_length(scores), 0)), ''::bytea order by place, revision), "
    "string_agg(scores, ''::bytea order by place, revision)"
)


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block and when it arrived (us); rows of an import carry their own `block.known_at`."""

    block_id: int
    xid: int
    known_us: int
    block: Block

    @property
    def known_at(self) -> NDArray[np.int64]:
        """[n] us"""
        known = self.block.known_at
        return np.full(len(self.block), self.known_us, np.int64) if known is None else known


@dataclass(frozen=True, slots=True)
class StoredLabels:
    """n rows of `label`; `replaces` is NaN for a first label, `scores` is (n, k) where any row has some."""

    place: NDArray[np.int64]
    predicted_at: NDArray[np.int64]
    known_at: NDArray[np.int64]
    score: NDArray[np.float64]
    scores: NDArray[np.float64] | None
    actual: NDArray[np.float64]
    replaces: NDArray[np.float64]
    context_id: NDArray[np.int32]
    predicted: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.place)


async def blocks_known_between(connection: Any, model_no: int, from_us: int, to_us: int) -> list[StoredBlock]:
    """Blocks with rows that became known in [from, to]."""
    rows = await connection.fetch(
        "select block_id, xid::text::int8 as xid, known_from, body from block "
        "where model_no = $1 and known_from <= $3 and known_to >= $2",
        model_no,
        to_datetime(from_us),
        to_datetime(to_us),
    )
    return [_stored(row) for row in rows]


async def labels_known_between(connection: Any, model_no: int, from_us: int, to_us: int) -> StoredLabels:
    """Labels that became known in [from, to]."""
    row = await connection.fetchrow(
        f"select {_LABEL_COLUMNS} from label where model_no = $1 and known_at >= $2 and known_at <= $3",  # noqa: S608
        model_no,
        to_datetime(from_us),
        to_datetime(to_us),
    )
    return _labels(*row)


async def blocks_of(connection: Any, model_no: int, first: int, last: int) -> AsyncIterator[list[StoredBlock]]:
    """A model's blocks in [first, last), a few at a time, in order of arrival."""
    while True:
        rows = await connection.fetch(
            "select block_id, xid::text::int8 as xid, known_from, body from block "
            "where model_no = $1 and block_id >= $2 and block_id < $3 order by block_id limit $4",
            model_no,
            first,
            last,
            BLOCKS_AT_ONCE,
        )
        if not rows:
            return
        yield [_stored(row) for row in rows]
        first = rows[-1]["block_id"] + 1


async def labels_of(connection: Any, model_no: int, first: int, last: int) -> AsyncIterator[StoredLabels]:
    """A model's labels of blocks in [first, last), in slices; the revisions of a place stay together."""
    at, end = first << ROW_BITS, last << ROW_BITS
    while at < end:
        border = await connection.fetchval(
            "select place from label where model_no = $1 and place >= $2 and place < $3 order by place "
            "offset $4 limit 1",
            model_no,
            at,
            end,
            LABELS_AT_ONCE,
        )
        stop = end if border is None else border
        row = await connection.fetchrow(
            f"select {_LABEL_COLUMNS} from label where model_no = $1 and place >= $2 and place < $3",  # noqa: S608
            model_no,
            at,
            stop,
        )
        if row[0] is not None:
            yield _labels(*row)
        at = stop


async def blocks_since(
    connection: Any, model_no: int, *, since: int, below: int, limit: int = BLOCKS_AT_ONCE
) -> list[StoredBlock]:
    """Blocks of transactions in [since, below), in the order of transactions."""
    rows = await connection.fetch(
        "select block_id, xid::text::int8 as xid, known_from, body from block where model_no = $1 "
        "and xid >= $2::text::xid8 and xid < $3::text::xid8 order by xid, block_id limit $4",
        model_no,
        str(since),
        str(below),
        limit,
    )
    return [_stored(row) for row in rows]


async def blocks_to_rewrite(connection: Any, block_ids: Sequence[int]) -> list[StoredBlock]:
    """Those blocks, locked, in order."""
    rows = await connection.fetch(
        "select block_id, xid::text::int8 as xid, known_from, body from block where block_id = any($1::int8[]) "
        "order by block_id for update",
        block_ids,
    )
    return [_stored(row) for row in rows]


async def take_labels(connection: Any, places: Sequence[int]) -> StoredLabels:
    """Deletes every label of these places, and says what they were."""
    row = await connection.fetchrow(
        "with gone as (delete from label where place = any($1::int8[]) returning *) "  # noqa: S608
        f"select {_LABEL_COLUMNS} from gone",
        places,
    )
    return _labels(*row)


async def days_with_rows(connection: Any, model_no: int) -> tuple[int, int] | None:
    """First and last block of a model; None where it has none."""
    row = await connection.fetchrow("select min(block_id), max(block_id) from block where model_no = $1", model_no)
    return None if row[0] is None else (row[0], row[1])


def _stored(row: Any) -> StoredBlock:
    return StoredBlock(row["block_id"], row["xid"], from_datetime(row["known_from"]), unpack(row["body"]))


def _labels(packed: bytes | None, vectors: bytes | None) -> StoredLabels:
    rows = np.frombuffer(packed or b"", _ROW)
    return StoredLabels(
        rows["place"].astype(np.int64),
        rows["predicted_at"].astype(np.int64) + _PG_EPOCH_US,
        rows["known_at"].astype(np.int64) + _PG_EPOCH_US,
        rows["score"].astype(np.float64),
        _score_vectors(rows["scores"].astype(np.int64), vectors),
        rows["actual"].astype(np.float64),
        rows["replaces"].astype(np.float64),
        rows["context_id"].astype(np.int32),
        rows["predicted"].astype(np.int32),
    )


def _score_vectors(sizes: NDArray[np.int64], vectors: bytes | None) -> NDArray[np.float64] | None:
    """(n, k) with k the longest vector; NaN for classes that a row does not speak of."""
    if not vectors:
        return None
    lengths = sizes // 8
    scores = np.full((len(sizes), int(lengths.max())), np.nan)
    row = np.repeat(np.arange(len(sizes)), lengths)
    column = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    scores[row, column] = np.frombuffer(vectors, "<f8")
    return scores
