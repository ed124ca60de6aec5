"""SQL of `rollup` ("now") and `triangle` (by arrival): merged in numpy, written as whole rows."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.stats.codes import Family, code
from app.stats.sparse import Sparse, core_only, hist_only, merge
from app.tracking.rollups.grains import MINUTES, ROLLUP_KEY, TOTAL, TRIANGLE_KEY, Rows
from app.tracking.rollups.packing import pack_hists, pack_records, unpack_rows

SLICE = 4000  # rows read and written by one statement: a second at most, far from the command timeout

RECOUNTED = "_recounted"  # suffix of the temporary tables that a check fills
PATIENT_S = 600  # statements over a whole model, of rebuilds only

_KEYS = {"rollup": ROLLUP_KEY, "triangle": TRIANGLE_KEY}
_KEYS |= {table + RECOUNTED: key for table, key in _KEYS.items()}


async def add(connection: Any, table: str, model_no: int, rows: Rows) -> None:
    """Adds vectors to the rows of `rollup` or `triangle`; the caller holds the model's fold lock."""
    for low in range(0, len(rows), SLICE):
        part = _slice(rows, low, min(low + SLICE, len(rows)))
        standing = await _standing(connection, table, model_no, part)
        await _write(connection, table, model_no, await asyncio.to_thread(_columns, part, standing))


async def clear(connection: Any, table: str, model_no: int, *, from_minute: int) -> None:
    """Deletes a model's rows of cohorts from a minute on; totals stay."""
    await connection.execute(
        f"delete from {table} where model_no = $1 and cohort >= $2 and grain <> {TOTAL}",  # noqa: S608
        model_no,
        from_minute,
        timeout=PATIENT_S,
    )


async def drop_empty(connection: Any, table: str, model_no: int) -> None:
    """Deletes rows that cancelled to nothing."""
    await connection.execute(
        f"delete from {table} where model_no = $1 and core = '' and hist is null",  # noqa: S608
        model_no,
        timeout=PATIENT_S,
    )


async def make_recounted(connection: Any) -> None:
    """Temporary tables beside `rollup` and `triangle`, gone with the transaction."""
    for table in ("rollup", "triangle"):
        await connection.execute(
            f"create temporary table {table}{RECOUNTED} (like {table} including all) on commit drop"
        )


async def unlike(
    connection: Any, table: str, model_no: int, *, from_minute: int, minutes_from: int, limit: int
) -> list[tuple[tuple[int, ...], Sparse, Sparse]]:
    """Rows that differ from the recounted ones: key, what stands, what was counted (as far as bytes tell)."""
    names = ", ".join(_KEYS[table])
    part = f"(select * from {{}} where model_no = $1 and grain <> {TOTAL} and cohort >= $2 and (grain <> {MINUTES} or cohort >= $3))"  # noqa: E501, S608
    rows = await connection.fetch(
        f"select {names}, a.core, a.hist, b.core, b.hist from {part.format(table)} a "  # noqa: S608
        f"full join {part.format(table + RECOUNTED)} b using ({names}) "
        "where coalesce(a.core, '') is distinct from coalesce(b.core, '') or a.hist is distinct from b.hist limit $4",
        model_no,
        from_minute,
        minutes_from,
        limit,
        timeout=PATIENT_S,
    )
    return [(tuple(row[:-4]), _vector(*row[-4:-2]), _vector(*row[-2:])) for row in rows]


async def vectors(
    connection: Any, model_no: int, grain: int, after: tuple[int, int, int], limit: int
) -> list[tuple[tuple[int, int, int], Sparse]]:
    """Rows of a grain after (version, segment, cohort), in that order."""
    rows = await connection.fetch(
        "select version_no, segment_no, cohort, core, hist from rollup where model_no = $1 and grain = $2 "
        "and (version_no, segment_no, cohort) > ($3, $4, $5) order by version_no, segment_no, cohort limit $6",
        model_no,
        grain,
        *after,
        limit,
    )
    return [(tuple(row[:3]), _vector(*row[3:])) for row in rows]


async def remove(connection: Any, model_no: int, grain: int) -> None:
    await connection.execute(
        "delete from rollup where model_no = $1 and grain = $2", model_no, grain, timeout=PATIENT_S
    )


def _vector(core: bytes | None, hist: bytes | None) -> Sparse:
    return unpack_rows([core or b""], [hist])


async def _standing(connection: Any, table: str, model_no: int, rows: Rows) -> list[tuple[int, bytes, bytes | None]]:
    """(number of the row, core, hist) of those that are there."""
    names = _KEYS[table]
    found = await connection.fetch(
        f"select u.i - 1, t.core, t.hist from unnest({_unnest(names, 2)}) "  # noqa: S608
        f"with ordinality u({', '.join(names)}, i) "
        f"join {table} t on t.model_no = $1 and {' and '.join(f't.{name} = u.{name}' for name in names)} order by u.i",
        model_no,
        *(column.tolist() for column in rows.keys),
    )
    return [tuple(row) for row in found]


def _columns(rows: Rows, standing: Sequence[tuple[int, bytes, bytes | None]]) -> list[list[Any]]:
    """Key columns, n, labelled, core and hist of the sums."""
    stands = unpack_rows([core for _, core, _ in standing], [hist for _, _, hist in standing])
    place = np.array([number for number, _, _ in standing], np.uint32)
    total = merge([rows.sparse, Sparse(place[stands.cell], stands.code, stands.amount)])
    cells = len(rows)
    return [
        *(column.tolist() for column in rows.keys),
        amounts(total, cells, Family.N).tolist(),
        amounts(total, cells, Family.LABELLED).tolist(),
        pack_records(core_only(total), cells),
        list(pack_hists(hist_only(total), cells)),
    ]


async def _write(connection: Any, table: str, model_no: int, columns: list[list[Any]]) -> None:
    names = _KEYS[table]
    last = len(names) + 2
    await connection.execute(
        f"insert into {table} (model_no, {', '.join(names)}, n, labelled, core, hist) "  # noqa: S608
        f"select $1, * from unnest({_unnest(names, 2)}, ${last}::int8[], ${last + 1}::int8[], ${last + 2}::bytea[], "
        f"${last + 3}::bytea[]) on conflict (model_no, {', '.join(names)}) do update set "
        "n = excluded.n, labelled = excluded.labelled, core = excluded.core, hist = excluded.hist",
        model_no,
        *columns,
    )


def amounts(sparse: Sparse, cells: int, family: Family) -> NDArray[np.int64]:
    """The amount of a family's only code in each cell."""
    found = sparse.code == code(family)
    values = np.zeros(cells, np.int64)
    values[sparse.cell[found]] = sparse.amount[found]
    return values


def _slice(rows: Rows, low: int, high: int) -> Rows:
    first, last = np.searchsorted(rows.sparse.cell, [low, high])
    entries = slice(int(first), int(last))
    sparse = rows.sparse
    cut = Sparse(sparse.cell[entries] - np.uint32(low), sparse.code[entries], sparse.amount[entries])
    return Rows(tuple(column[low:high] for column in rows.keys), cut)


def _unnest(names: Sequence[str], first: int) -> str:
    return ", ".join(f"${number}::int4[]" for number in range(first, first + len(names)))
