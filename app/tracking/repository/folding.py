"""SQL of the folder: who folds, what is not folded yet, how far it is known that everything has ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.core.clock import Clock, to_datetime
from app.tracking.repository.arrivals import now_us

LOCK = 0x0F01D  # class of the advisory locks "I fold model n"
CHANNEL = "assay_rollups"
DELTAS_AT_ONCE = 2000
BYTES_AT_ONCE = 32 << 20  # of bodies; unpacked about ten times as much
PATIENT_S = 60  # a round of folding of a model that is far behind takes some seconds


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a model is folded: everything of transactions below `xid`, `deltas` of them so far."""

    xid: int
    deltas: int
    epoch: int
    features_xid: int
    reference_revision: int
    retained_from: int


FRESH = Mark(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Ended:
    """What is known of endings. `xmin`: every transaction below it has ended."""

    xmin: int
    horizon_us: int  # everything known by then is visible
    noted_us: int  # a moment that becomes the horizon when xmin reaches `noted_xid`
    noted_xid: int
    folded_below: int  # no model has an unfolded delta of a transaction below


async def lock(connection: Any, model_no: int, work: int = LOCK) -> bool:
    """Whether this transaction is the one that folds the model now."""
    return bool(await connection.fetchval("select pg_try_advisory_xact_lock($1, $2)", work, model_no))


async def wait_for_lock(connection: Any, model_no: int, work: int = LOCK) -> None:
    await connection.execute("select pg_advisory_xact_lock($1, $2)", work, model_no, timeout=PATIENT_S)


async def moment(connection: Any, clock: Clock) -> tuple[int, int]:
    """(t0, xid): whoever reads the clock before t0 has, having taken it before, a transaction id below xid.

    The id is this transaction's own. A snapshot's xmax would not do: it is one past the last id that *ended*, may lie
    below ids that are under way.
    """
    t0 = await now_us(connection, clock)
    return t0, int(await connection.fetchval("select pg_current_xact_id()::text::int8"))


async def ended(connection: Any) -> Ended:
    row = await connection.fetchrow(
        "select pg_snapshot_xmin(pg_current_snapshot())::text::int8, at_us, noted_us, noted_xid::text::int8, "
        "folded_below::text::int8 from horizon"
    )
    return Ended(*row)


async def note(connection: Any, *, horizon_us: int, noted_us: int, noted_xid: int) -> None:
    """The horizon never goes back: another process may have noted a later one."""
    await connection.execute(
        "update horizon set at_us = greatest(at_us, $1), noted_us = $2, noted_xid = $3::text::xid8",
        horizon_us,
        noted_us,
        str(noted_xid),
    )


async def folded_below(connection: Any, xid: int) -> None:
    """All models are folded up to a transaction."""
    await connection.execute("update horizon set folded_below = greatest(folded_below, $1::text::xid8)", str(xid))


async def mark(connection: Any, model_no: int) -> Mark:
    row = await connection.fetchrow(
        "select xid::text::int8, deltas, epoch, features_xid::text::int8, reference_revision, retained_from "
        "from fold_mark where model_no = $1",
        model_no,
    )
    return Mark(*row) if row else FRESH


async def set_mark(connection: Any, model_no: int, mark: Mark) -> None:
    """All but what belongs to the features; the caller holds the model's fold lock."""
    await connection.execute(
        "insert into fold_mark (model_no, xid, deltas, epoch, retained_from, features_xid, reference_revision) "
        "values ($1, $2::text::xid8, $3, $4, $5, '0', 0) on conflict (model_no) do update set "
        "xid = excluded.xid, deltas = excluded.deltas, epoch = excluded.epoch, retained_from = excluded.retained_from",
        model_no,
        str(mark.xid),
        mark.deltas,
        mark.epoch,
        mark.retained_from,
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Deltas of whole transactions: all from the question's start up to (not including) `upto`."""

    bodies: list[bytes]
    upto: int
    more: bool


async def deltas(connection: Any, model_no: int, *, since: int, below: int) -> Batch:
    """The next deltas of a model, in the order of transactions; about `DELTAS_AT_ONCE` and `BYTES_AT_ONCE` at most."""
    rows = await connection.fetch(
        "select xid::text::int8 as xid, body, candidates from ("
        "select xid, body, count(*) over () as candidates, sum(octet_length(body)) over (order by xid) "
        "- sum(octet_length(body)) over (partition by xid) as before from ("
        "select xid, body from delta where model_no = $1 and xid >= $2::text::xid8 and xid < $3::text::xid8 "
        "order by xid limit $4) next) sized where before < $5 order by xid",
        model_no,
        str(since),
        str(below),
        DELTAS_AT_ONCE + 1,
        BYTES_AT_ONCE,
    )
    candidates = rows[0]["candidates"] if rows else 0
    if len(rows) < candidates:
        return Batch([row["body"] for row in rows], rows[-1]["xid"] + 1, more=True)
    if candidates > DELTAS_AT_ONCE:  # of the last transaction there may be more: it waits
        last = rows[-1]["xid"]
        return Batch([row["body"] for row in rows if row["xid"] < last], last, more=True)
    return Batch([row["body"] for row in rows], below, more=False)


async def pending_models(connection: Any, since: int) -> list[int]:
    """Models with deltas that their mark does not cover."""
    rows = await connection.fetch(
        "select distinct d.model_no from delta d left join fold_mark m using (model_no) "
        "where d.xid >= $1::text::xid8 and (m.xid is null or d.xid >= m.xid)",
        str(since),
    )
    return [row["model_no"] for row in rows]


async def oldest_pending_s(connection: Any, since: int, moment_us: int) -> float:
    """Age of the oldest delta that no rollup holds yet; 0 where there is none."""
    age = await connection.fetchval(
        "select extract(epoch from $2 - min(d.known_at))::float8 from delta d left join fold_mark m using (model_no) "
        "where d.xid >= $1::text::xid8 and (m.xid is null or d.xid >= m.xid)",
        str(since),
        to_datetime(moment_us),
    )
    return max(float(age or 0.0), 0.0)


async def announce(connection: Any, model_no: int) -> None:
    """Tells who listens, once the fold is durable, that the model's numbers moved."""
    await connection.execute("select pg_notify($1, $2)", CHANNEL, str(model_no))


async def contexts(connection: Any, model_no: int, wanted: Sequence[int]) -> dict[int, tuple[int, tuple[int, ...]]]:
    """context -> (version_no, segment_nos)."""
    rows = await connection.fetch(
        "select context_id, version_no, segment_nos from context where model_no = $1 and context_id = any($2::int4[])",
        model_no,
        wanted,
    )
    return {row["context_id"]: (row["version_no"], tuple(row["segment_nos"])) for row in rows}
