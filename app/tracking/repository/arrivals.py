"""What every writing transaction does first, and what it leaves for the folder: its moment, its blocks, its deltas."""

from datetime import datetime
from typing import Any

from app.core.clock import Clock, SystemClock, from_datetime, to_datetime
from app.tracking.arrival import Arrival

# kinds of deltas; IMPORTED: its rows say themselves when they were known; ERASED: takes back what was counted
PREDICTIONS, LABELS, IMPORTED, ERASED = 0, 1, 2, 3

_ARRIVE = """
with mine as materialized (select pg_current_xact_id()::text::int8 as xid)
select xid, nextval('block_seq'), clock_timestamp() from mine
"""
_DELTA = "insert into delta (known_at, model_no, kind, body) values ($1, $2, $3, $4)"
_BLOCK_AND_DELTA = """
with stored as (
    insert into block (block_id, known_from, known_to, model_no, n, format, body) values ($1, $2, $3, $4, $5, $6, $7)
)
insert into delta (known_at, model_no, kind, body) values ($8, $4, $9, $10)
returning exists (select from erased where model_no = $4)
"""


async def arrive(connection: Any, clock: Clock) -> Arrival:
    """Takes the transaction's id and only then reads the clock.

    So whatever is not yet committed of a moment t has an id below any that is given out after t: a reader who notes the
    clock, then an id of its own (not the snapshot's xmax, which is one past the last that *ended* and may lie below
    ids under way), knows everything up to t once all transactions below that id have ended.
    """
    xid, sequence, now = await connection.fetchrow(_ARRIVE)
    return Arrival(xid, _moment(now, clock), sequence)


async def now_us(connection: Any, clock: Clock) -> int:
    """The moment by the clock that stamps rows: the database's, so that processes on several machines agree.

    A clock that was handed in (tests, replays) stands above it.
    """
    return _moment(await connection.fetchval("select clock_timestamp()"), clock)


async def add_delta(connection: Any, arrival: Arrival, model_no: int, *, kind: int, body: bytes) -> None:
    await connection.execute(_DELTA, to_datetime(arrival.us), model_no, kind, body)


async def add_block_and_delta(
    connection: Any,
    arrival: Arrival,
    model_no: int,
    *,
    n: int,
    known: tuple[int, int],
    form: int,
    body: bytes,
    kind: int,
    delta: bytes,
) -> bool:
    """Both in one round trip; whether anything of the model was ever erased.

    `known`: the first and last moment (us) at which a row of the block became known.
    """
    earliest, latest = (to_datetime(us) for us in known)
    return bool(
        await connection.fetchval(
            _BLOCK_AND_DELTA,
            *(arrival.block_id, earliest, latest, model_no, n, form, body),
            *(to_datetime(arrival.us), kind, delta),
        )
    )


def _moment(now: datetime, clock: Clock) -> int:
    return from_datetime(now) if isinstance(clock, SystemClock) else clock.now_us()
