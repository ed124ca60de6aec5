"""SQL of partitions and of what retention removes."""

from collections.abc import Iterable
from typing import Any

from app.core.clock import to_datetime
from app.tracking.arrival import STUB, first_block, first_place
from app.tracking.repository.folding import PATIENT_S

KEYS_AT_ONCE = 100_000  # a slice is some tens of milliseconds, so nobody waits long for its locks
_LOCK_WAIT = "3s"  # who can't have the table now tries again at the next upkeep


async def names(connection: Any, table: str) -> set[str]:
    """The partitions of a table, the default one too."""
    rows = await connection.fetch(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass",
        table,
    )
    return {row["relname"] for row in rows}


async def create(connection: Any, table: str, name: str, column: str, low: str, high: str) -> None:
    """A partition for [low, high) (SQL literals); rows that the default partition took meanwhile move over."""
    await connection.execute(f"set local lock_timeout = '{_LOCK_WAIT}'")
    # The parent, not the default partition alone: a query that has read the list of partitions and then waits for one
    # goes on without the new one, on a snapshot in which the rows have moved there, and does not see them.
    await connection.execute(f"lock table {table} in access exclusive mode")
    await connection.execute(f"create table {name} (like {table} including all)")
    await connection.execute(
        f"with moved as (delete from {table}_default where {column} >= {low} and {column} < {high} returning *) "  # noqa: S608
        f"insert into {name} select * from moved",
        timeout=PATIENT_S,
    )
    await connection.execute(
        f"alter table {table} attach partition {name} for values from ({low}) to ({high})", timeout=PATIENT_S
    )


async def drop(connection: Any, name: str) -> None:
    await connection.execute(f"set local lock_timeout = '{_LOCK_WAIT}'")
    await connection.execute(f"drop table {name}")


async def unfolded_in(connection: Any, name: str) -> bool:
    """Whether a partition of `delta` holds some that no rollup has."""
    return bool(
        await connection.fetchval(
            f"select exists (select from {name} d left join fold_mark m using (model_no) "  # noqa: S608
            "where m.xid is null or d.xid >= m.xid)"
        )
    )


async def drop_folded_deltas(connection: Any, before_us: int) -> None:
    """What the default partition holds from before a moment, once folded."""
    await connection.execute(
        "delete from delta_default d using fold_mark m where m.model_no = d.model_no and d.xid < m.xid "
        "and d.known_at < $1",
        to_datetime(before_us),
        timeout=PATIENT_S,
    )


async def drop_minutes(connection: Any, model_no: int, before_minute: int) -> None:
    """The minute grain of old cohorts."""
    for table in ("rollup", "triangle"):
        await connection.execute(
            f"delete from {table} where model_no = $1 and grain = 60 and cohort < $2",  # noqa: S608
            model_no,
            before_minute,
            timeout=PATIENT_S,
        )


async def has_raw_before(connection: Any, model_no: int, before_us: int) -> bool:
    """Whether retention has anything to end."""
    return bool(
        await connection.fetchval(
            "select exists (select from block where model_no = $1 and block_id < $2)", model_no, first_block(before_us)
        )
    )


async def drop_keys(connection: Any, model_no: int, before_us: int) -> int:
    """Some keys of predictions that arrived before a moment; how many: call again until there are none."""
    done = await connection.execute(
        "delete from prediction where ctid = any(array(select ctid from prediction "
        "where place >= 0 and place < $1 and key >= $2 and key < $3 limit $4))",
        first_place(before_us),
        model_no.to_bytes(4, "big"),
        (model_no + 1).to_bytes(4, "big"),
        KEYS_AT_ONCE,
        timeout=PATIENT_S,
    )
    return int(done.split()[-1])


async def drop_raw(connection: Any, model_no: int, before_us: int) -> None:
    """A model's raw rows and what says of them that arrived before a moment, in partitions that others still need."""
    await connection.execute(
        "delete from block where model_no = $1 and block_id < $2", model_no, first_block(before_us), timeout=PATIENT_S
    )
    for table in ("label", "subject", "erased"):
        await connection.execute(
            f"delete from {table} where model_no = $1 and place < $2",  # noqa: S608
            model_no,
            first_place(before_us),
            timeout=PATIENT_S,
        )


async def drop_waiting(connection: Any, model_no: int, before_us: int) -> int:
    """Labels that waited too long, and the stubs that held their keys."""
    return int(
        await connection.fetchval(
            "with gone as (delete from label_waiting where model_no = $1 and arrived_at < $2 returning key), "
            "stubs as (delete from prediction p using gone where p.key = gone.key and p.place = $3) "
            "select count(*) from gone",
            model_no,
            to_datetime(before_us),
            STUB,
            timeout=PATIENT_S,
        )
    )


def older(present: Iterable[str], table: str, day: str) -> list[str]:
    """Daily partitions of days before `day` (as `arrival.day_of` writes them)."""
    return sorted(name for name in present if name[len(table) + 1 :].isdigit() and name < f"{table}_{day}")
