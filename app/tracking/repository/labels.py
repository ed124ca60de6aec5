"""SQL of labels: finding the predictions they belong to, appending to their history, waiting for those to come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from app.core.clock import from_datetime, to_datetime
from app.tracking.arrival import ROW_BITS
from app.tracking.repository import wire
from app.tracking.repository.predictions import KeyTaken, once

COLUMNS = (
    "place", "actual", "replaces", "event_at", "arrived_at", "known_at", "predicted_at", "score", "model_no",
    "context_id", "revision", "predicted", "scores",
)  # fmt: skip

_FACTS = np.dtype(
    [
        ("row", ">i4"),
        ("place", ">i8"),
        ("predicted_at", ">i8"),
        ("score", ">f8"),
        ("context_id", ">i4"),
        ("predicted", ">i2"),
    ]
)
# one packed value instead of a row each: numpy reads it without an object per row
_FIND = """
select string_agg(int4send(u.row::int4) || int8send(p.place) || timestamptz_send(p.predicted_at)
    || float8send(p.score) || int4send(p.context_id) || int2send(p.predicted), ''::bytea)
from unnest($1::bytea[]) with ordinality u (key, row) join prediction p on p.key = u.key
"""
_FIND_SCORES = """
select p.place, p.scores from unnest($1::bytea[]) u (key) join prediction p on p.key = u.key
"""
_HISTORY = """
select place, revision, actual, known_at from label where place = any($1::int8[]) order by place, known_at, revision
"""
_WAITING = "select key, actual, event_at, arrived_at, known_at from label_waiting where key = any($1::bytea[])"
_WAIT = """
insert into label_waiting as w (key, model_no, actual, event_at, arrived_at, known_at)
select s.key, $6, s.actual, $7::timestamptz + s.event_us * interval '1 microsecond', $5,
    $7::timestamptz + s.known_us * interval '1 microsecond'
from unnest($1::bytea[], $2::float8[], $3::int8[], $4::int8[]) s (key, actual, event_us, known_us)
on conflict (key) do update set actual = excluded.actual, event_at = excluded.event_at,
    arrived_at = excluded.arrived_at, known_at = excluded.known_at
"""
_JOIN_NOW = """
delete from label_waiting where key = any($1::bytea[]) returning key, actual, event_at, arrived_at, known_at
"""
_REPLACE = """
update label l set replaces = s.replaces
from unnest($1::int8[], $2::int2[], $3::float8[]) s (place, revision, replaces)
where l.place = s.place and l.revision = s.revision
"""
_KNOWN_TOGETHER = """
select block_id, known_from from block where block_id = any($1::int8[]) and known_from = known_to
"""
_OF_PLACE = """
select actual, replaces, event_at, arrived_at, known_at, revision from label where place = $1
order by known_at, revision
"""


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """The facts of predictions that labels need; `row` is the place in the question, stubs have place −1."""

    row: NDArray[np.intp]
    place: NDArray[np.int64]
    predicted_at: NDArray[np.int64]  # us
    score: NDArray[np.float64]
    context_id: NDArray[np.int32]
    predicted: NDArray[np.int32]

    def take(self, wanted: NDArray[Any]) -> "Joined":
        return Joined(
            self.row[wanted],
            self.place[wanted],
            self.predicted_at[wanted],
            self.score[wanted],
            self.context_id[wanted],
            self.predicted[wanted],
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A label whose prediction has not come."""

    key: bytes
    actual: float
    event_at: datetime
    arrived_at: datetime
    known_at: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """A label as it stands in the history of its prediction."""

    actual: float
    replaces: float | None
    event_at: datetime
    arrived_at: datetime
    known_at: datetime
    revision: int


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Rows of `label`, ordered by place (the order in which all writers lock). `replaces`: NaN where there is none."""

    place: NDArray[np.int64]
    actual: NDArray[np.float64]
    replaces: NDArray[np.float64]
    event_at: NDArray[np.int64]  # this and the next three in us
    arrived_at: NDArray[np.int64]
    known_at: NDArray[np.int64]
    predicted_at: NDArray[np.int64]
    score: NDArray[np.float64]
    context_id: NDArray[np.int32]
    revision: NDArray[np.int16]
    predicted: NDArray[np.int32]
    scores: NDArray[np.float64] | None  # (n, k): k as many classes as these rows are counted with


async def find(connection: Any, keys: Sequence[bytes]) -> Joined:
    packed = np.frombuffer(await connection.fetchval(_FIND, keys) or b"", _FACTS)
    return Joined(
        packed["row"].astype(np.intp) - 1,
        packed["place"].astype(np.int64),
        packed["predicted_at"].astype(np.int64) + wire.POSTGRES_EPOCH_US,
        packed["score"].astype(np.float64),
        packed["context_id"].astype(np.int32),
        packed["predicted"].astype(np.int32),
    )


async def scores(connection: Any, keys: Sequence[bytes]) -> dict[int, bytes | None]:
    """By place, the class probabilities of multiclass predictions."""
    return {row[0]: row[1] for row in await connection.fetch(_FIND_SCORES, keys)}


async def append(connection: Any, model_no: int, lines: Lines) -> None:
    """Adds to the history. Raises `KeyTaken` (the transaction is lost then) where a place has that revision already."""
    first = np.isnan(lines.replaces)
    parts = [wire.HEAD]
    for mine, replaces in ((first, None), (~first, lines.replaces)):
        if mine.any():
            parts.append(wire.rows(_columns(model_no, lines, slice(None) if mine.all() else mine, replaces)))
    stream = b"".join([*parts, wire.TAIL])
    try:
        await connection.copy_to_table("label", source=once(stream), columns=COLUMNS, format="binary")
    except asyncpg.UniqueViolationError:
        raise KeyTaken from None


async def predictions_known_at(connection: Any, joined: Joined) -> NDArray[np.int64]:
    """When the predictions became known (us): with their block, or, where its rows say so themselves, when made."""
    blocks, of = np.unique(joined.place >> ROW_BITS, return_inverse=True)
    known = dict(await connection.fetch(_KNOWN_TOGETHER, blocks.tolist()))
    together = np.array([from_datetime(known[block]) if block in known else -1 for block in blocks.tolist()], np.int64)
    return np.where(together[of] >= 0, together[of], joined.predicted_at)


async def history(connection: Any, places: Sequence[int]) -> dict[int, list[tuple[int, float, datetime]]]:
    """By place: revision, actual and known_at of each of its labels, in the order (known_at, revision)."""
    found: dict[int, list[tuple[int, float, datetime]]] = {}
    for place, *said in await connection.fetch(_HISTORY, places):
        found.setdefault(place, []).append(tuple(said))
    return found


async def replace(connection: Any, changes: Iterable[tuple[int, int, float]]) -> None:
    """Tells labels that came before which value now stands before them: (place, revision, value)."""
    ordered = sorted(changes)
    if ordered:
        await connection.execute(_REPLACE, *(list(column) for column in zip(*ordered, strict=True)))


async def of_place(connection: Any, place: int) -> list[Said]:
    """Every label of one prediction, the one that counts last."""
    return [Said(*row) for row in await connection.fetch(_OF_PLACE, place)]


async def waiting(connection: Any, keys: Sequence[bytes]) -> dict[bytes, Waiting]:
    rows = await connection.fetch(_WAITING, keys)
    return {row[0]: Waiting(*row) for row in rows}


async def wait(connection: Any, model_no: int, rows: Sequence[tuple[bytes, float, int, int]], arrived_us: int) -> None:
    """Lets labels wait, in place of those that waited under the same keys: (key, actual, event_at, known_at), us."""
    keys, actual, event_at, known_at = ([*column] for column in zip(*rows, strict=True))
    since = [[us - wire.POSTGRES_EPOCH_US for us in column] for column in (event_at, known_at)]
    await connection.execute(
        _WAIT, keys, actual, *since, to_datetime(arrived_us), model_no, wire.POSTGRES_EPOCH
    )  # fmt: skip


async def join_now(connection: Any, keys: Sequence[bytes]) -> list[Waiting]:
    """Takes the labels that waited for these keys."""
    return [Waiting(*row) for row in await connection.fetch(_JOIN_NOW, keys)]


def _columns(model_no: int, lines: Lines, mine: Any, replaces: NDArray[np.float64] | None) -> list[NDArray[Any] | None]:
    place = lines.place[mine]
    return [
        place,
        lines.actual[mine],
        None if replaces is None else replaces[mine],
        wire.moments(lines.event_at[mine]),
        wire.moments(lines.arrived_at[mine]),
        wire.moments(lines.known_at[mine]),
        wire.moments(lines.predicted_at[mine]),
        lines.score[mine],
        np.full(len(place), model_no, np.int32),
        lines.context_id[mine],
        lines.revision[mine],
        lines.predicted[mine].astype(np.int16),
        None if lines.scores is None else wire.opaque(lines.scores[mine]),
    ]
