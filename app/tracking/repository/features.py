"""SQL of feature histograms and of the reference that fixes their bins."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import to_datetime
from app.stats.sparse import Sparse, merge
from app.tracking.rollups.bins import Bins, as_json, from_json
from app.tracking.rollups.grains import Rows
from app.tracking.rollups.packing import pack_hists, unpack_hists

LOCK = 0x0F01E  # class of the advisory locks "I fold the features of model n"


async def pending(connection: Any) -> list[tuple[int, int]]:
    """Models whose features are behind their rollups, and how far these are."""
    rows = await connection.fetch("select model_no, xid::text::int8 as xid from fold_mark where features_xid < xid")
    return [(row["model_no"], row["xid"]) for row in rows]


async def set_mark(connection: Any, model_no: int, xid: int) -> None:
    await connection.execute(
        "update fold_mark set features_xid = $2::text::xid8 where model_no = $1", model_no, str(xid)
    )


async def reference(connection: Any, model_no: int) -> tuple[int, dict[str, Bins]] | None:
    """Its revision (0: made from the first rows) and the bins by feature."""
    row = await connection.fetchrow("select revision, bins from feature_reference where model_no = $1", model_no)
    return None if row is None else (row["revision"], from_json(json.loads(row["bins"])))


async def set_reference(connection: Any, model_no: int, revision: int, bins: Mapping[str, Bins], now_us: int) -> None:
    """A new reference: all counts on other bins go, and counting starts again with the first block."""
    await connection.execute("delete from feature_rollup where model_no = $1", model_no)
    await set_mark(connection, model_no, 0)
    await connection.execute(
        "insert into feature_reference (model_no, revision, bins, fixed_at) values ($1, $2, $3, $4) "
        "on conflict (model_no) do update set revision = excluded.revision, bins = excluded.bins, "
        "fixed_at = excluded.fixed_at",
        model_no,
        revision,
        json.dumps(as_json(bins)),
        to_datetime(now_us),
    )


async def rows_below(connection: Any, model_no: int, xid: int, limit: int) -> int:
    """How many rows a model has in blocks of transactions below `xid`, counted up to about `limit`."""
    return int(
        await connection.fetchval(
            "select coalesce(sum(n), 0) from (select n from block where model_no = $1 and xid < $2::text::xid8 "
            "limit $3) first_blocks",
            model_no,
            str(xid),
            limit,
        )
    )


async def add(connection: Any, model_no: int, rows: Rows) -> None:
    """Adds histograms to the rows of keys (version, grain, cohort), whose code 0 is n; the caller holds the lock."""
    keys = [column.tolist() for column in rows.keys]
    found = await connection.fetch(
        "select u.i, t.body from unnest($2::int4[], $3::int4[], $4::int4[]) with ordinality u(v, g, c, i) "
        "join feature_rollup t on t.model_no = $1 and t.version_no = u.v and t.grain = u.g and t.cohort = u.c "
        "order by u.i",
        model_no,
        *keys,
    )
    place = np.array([row["i"] - 1 for row in found], np.uint32)
    stands = unpack_hists([row["body"] for row in found])
    total = merge([rows.sparse, Sparse(place[stands.cell], stands.code, stands.amount)])
    n = np.zeros(len(rows), np.int64)
    n[total.cell[total.code == 0]] = total.amount[total.code == 0]
    await connection.execute(
        "insert into feature_rollup (model_no, version_no, grain, cohort, n, body) "
        "select $1, * from unnest($2::int4[], $3::int4[], $4::int4[], $5::int8[], $6::bytea[]) "
        "on conflict (model_no, version_no, grain, cohort) do update set n = excluded.n, body = excluded.body",
        model_no,
        *keys,
        n.tolist(),
        [body or b"" for body in pack_hists(total, len(rows))],
    )


async def histograms(
    connection: Any, model_no: int, *, version_no: int | None, grain: int, low: int, high: int
) -> tuple[NDArray[np.int64], Sparse]:
    """Cohort and histograms of each stored row; several versions of a cohort are several rows."""
    rows = await connection.fetch(
        "select cohort, body from feature_rollup where model_no = $1 and grain = $2 and cohort >= $3 "
        "and cohort < $4 and ($5::int4 is null or version_no = $5) order by cohort, version_no",
        model_no,
        grain,
        low,
        high,
        version_no,
    )
    cohorts = np.array([row["cohort"] for row in rows], np.int64)
    return cohorts, unpack_hists([row["body"] for row in rows])
