"""SQL of erasing."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.tracking.arrival import ROW_BITS, STUB
from app.tracking.repository.folding import PATIENT_S

_BLOCKS_AT_ONCE = 64
# in key order, as all writers lock
_DROP_KEYS = """
with mine as materialized (
    select p.key from unnest($1::bytea[], $2::int8[]) with ordinality u (key, place, i)
    join prediction p on p.key = u.key and p.place = u.place order by i for update of p
)
delete from prediction p using mine where p.key = mine.key
"""
_LOCK_STUBS = """
select p.key from unnest($1::bytea[]) with ordinality u (key, i)
join prediction p on p.key = u.key and p.place = $2 order by i for update of p
"""
_DROP_BLOCKS = """
with gone as (
    delete from block where block_id = any(array(
        select block_id from block where model_no = $1 order by block_id limit $2)) returning block_id
), labels as (
    delete from label l using gone where l.place >= gone.block_id << $3 and l.place < (gone.block_id + 1) << $3
)
select count(*) from gone
"""
_BY_MODEL = (
    "subject", "label_waiting", "delta", "erased", "erasure", "rollup", "triangle", "feature_rollup",
    "feature_reference", "fold_mark",
)  # fmt: skip


async def count(connection: Any, model_no: int, subjects: Sequence[bytes]) -> int:
    """How many rows the subjects have."""
    return int(
        await connection.fetchval(
            "select count(distinct place) from subject where model_no = $1 and subject = any($2::bytea[])",
            model_no,
            subjects,
        )
    )


async def places(connection: Any, model_no: int, subjects: Sequence[bytes], limit: int) -> list[int]:
    """The first places of the subjects, in order."""
    rows = await connection.fetch(
        "select distinct place from subject where model_no = $1 and subject = any($2::bytea[]) order by place limit $3",
        model_no,
        subjects,
        limit,
    )
    return [row[0] for row in rows]


async def lock_stubs(connection: Any, keys: Sequence[bytes]) -> list[bytes]:
    """Those of the keys under which a label waits, locked until the transaction ends; `keys` in key order."""
    return [row[0] for row in await connection.fetch(_LOCK_STUBS, keys, STUB)]


async def places_under(connection: Any, keys: Sequence[bytes]) -> list[int]:
    """The places of the predictions that are stored under these keys."""
    rows = await connection.fetch("select place from prediction where key = any($1::bytea[]) and place >= 0", keys)
    return [row[0] for row in rows]


async def drop_keys(connection: Any, keys: Sequence[bytes], places: Sequence[int]) -> int:
    """Predictions by key and place, those that another has not taken away already: how many; `keys` in key order."""
    return int((await connection.execute(_DROP_KEYS, keys, places)).split()[-1])


async def rewrite(connection: Any, block_id: int, body: bytes) -> None:
    await connection.execute("update block set body = $2 where block_id = $1", block_id, body)


async def remember(connection: Any, model_no: int, digests: Sequence[bytes], places: Sequence[int]) -> None:
    """The digests of erased keys, by which they are known again."""
    await connection.execute(
        "insert into erased (model_no, digest, place) select $1, * from unnest($2::bytea[], $3::int8[]) "
        "on conflict do nothing",
        model_no,
        digests,
        places,
    )


async def forget(connection: Any, model_no: int, places: Sequence[int]) -> None:
    """Whose the places were."""
    await connection.execute("delete from subject where model_no = $1 and place = any($2::int8[])", model_no, places)


async def note(connection: Any, model_no: int, bodies: Mapping[int, bytes]) -> None:
    """What the raw rows no longer say but the statistics do, by the hour (since the epoch) in which it was known."""
    await connection.execute(
        "insert into erasure (model_no, hour, body) select $1, * from unnest($2::int4[], $3::bytea[])",
        model_no,
        list(bodies),
        list(bodies.values()),
    )


async def late_labels(connection: Any, model_no: int) -> list[int]:
    """Places of erased predictions for which a label was stored by whoever had found them before."""
    rows = await connection.fetch(
        "select distinct l.place from erased e join label l on l.place = e.place where e.model_no = $1", model_no
    )
    return [row[0] for row in rows]


async def own_xid(connection: Any) -> int:
    return int(await connection.fetchval("select pg_current_xact_id()::text::int8"))


async def ended_below(connection: Any, xid: int) -> bool:
    """Whether every transaction below `xid` has ended."""
    return bool(await connection.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text::int8 >= $1", xid))


async def blocks(connection: Any, model_no: int) -> int:
    return int(await connection.fetchval("select count(*) from block where model_no = $1", model_no))


async def drop_blocks(connection: Any, model_no: int) -> int:
    """Some blocks of a model with their labels; how many: call again until there are none."""
    return int(await connection.fetchval(_DROP_BLOCKS, model_no, _BLOCKS_AT_ONCE, ROW_BITS, timeout=PATIENT_S))


async def drop_model_keys(connection: Any, model_no: int, limit: int) -> int:
    """Some keys of a model, stubs too; how many."""
    done = await connection.execute(
        "delete from prediction where ctid = any(array("
        "select ctid from prediction where key >= $1 and key < $2 order by key limit $3))",
        model_no.to_bytes(4, "big"),
        (model_no + 1).to_bytes(4, "big"),
        limit,
        timeout=PATIENT_S,
    )
    return int(done.split()[-1])


async def drop_statistics(connection: Any, model_no: int) -> None:
    """Everything else that was stored of a model; the caller holds its fold lock."""
    for table in _BY_MODEL:
        await connection.execute(f"delete from {table} where model_no = $1", model_no, timeout=PATIENT_S)  # noqa: S608
