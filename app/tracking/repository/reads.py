"""SQL of the answers: each is one statement, hence one snapshot of rollups, marks and unfolded deltas together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.stats.sparse import Sparse
from app.tracking.rollups.grains import DAY_OF_HOURS, DAYS, HOURS, TOTAL, Cut, Rows, group
from app.tracking.rollups.packing import interleave, unpack_records
from app.tracking.rollups.slices import By, Part, Slicing


@dataclass(frozen=True, slots=True)
class Standing:
    """Folded rows as packed columns (decoded by `rows`: CPU), and the bodies of what is not folded yet."""

    cohorts: bytes | None
    sizes: bytes | None
    cores: bytes | None
    hists: list[bytes | None] | None
    deltas: list[bytes] | None

    def rows(self) -> Rows:
        """Key: bucket start (of slices: their number)."""
        return group((_ints(self.cohorts),), _vectors(self.sizes, self.cores, self.hists))


# Packed columns: one value each instead of a Python object per row and column.
_COLUMNS = (
    "string_agg(int4send(cohort), ''::bytea), string_agg(int4send(octet_length(core)), ''::bytea), "
    "string_agg(core, ''::bytea)"
)
_PENDING = (
    "(select array_agg(d.body) from delta d where d.model_no = $1 "
    "and d.xid >= coalesce((select m.xid from fold_mark m where m.model_no = $1), '0'::xid8))"
)


async def now(connection: Any, model_no: int, cut: Cut, *, histograms: bool) -> Standing:
    """The rollup's rows of a cut."""
    low, high = cut.bounds()
    row = await connection.fetchrow(
        f"select {_COLUMNS}, {_hists(histograms)}, {_PENDING} from rollup where model_no = $1 "  # noqa: S608
        f"and {_version(cut, 6)} and segment_no = $2 and grain = $3 and cohort >= $4 and cohort < $5",
        model_no,
        cut.segment_no,
        cut.grain_s,
        low,
        high,
        *_version_argument(cut),
    )
    return Standing(*row)


async def as_of(connection: Any, model_no: int, cut: Cut, hour: int, *, histograms: bool) -> Standing:
    """The triangle's rows of a cut that arrived before `hour` (since the epoch): whole days, then hours."""
    low, high = cut.bounds()
    row = await connection.fetchrow(
        f"select {_COLUMNS}, {_hists(histograms)}, {_PENDING} from triangle where model_no = $1 "  # noqa: S608
        f"and {_version(cut, 8)} and segment_no = $2 and grain = $3 and cohort >= $4 and cohort < $5 "
        f"and ((tier = {DAYS} and known < $6) or (tier = {HOURS} and known >= $6 and known < $7))",
        model_no,
        cut.segment_no,
        cut.grain_s,
        low,
        high,
        hour // DAY_OF_HOURS * DAY_OF_HOURS,
        hour,
        *_version_argument(cut),
    )
    return Standing(*row)


@dataclass(frozen=True, slots=True)
class Totals:
    """Folded rows of many models as packed columns, and unfolded deltas with their models."""

    models: bytes | None
    versions: bytes | None
    sizes: bytes | None
    cores: bytes | None
    hists: list[bytes | None] | None
    delta_models: list[int] | None
    deltas: list[bytes] | None

    def rows(self) -> Rows:
        """Key: model, version."""
        return group((_ints(self.models), _ints(self.versions)), _vectors(self.sizes, self.cores, self.hists))


async def totals(
    connection: Any,
    model_nos: Sequence[int],
    version_nos: Sequence[int],
    parts: Sequence[tuple[int, int, int]],
    *,
    histograms: bool,
) -> Totals:
    """Rows of models (one number per version) over parts (grain, from, to): e.g. hours at both ends, days between."""
    row = await connection.fetchrow(
        _TOTALS.format(hists=_hists(histograms)),
        model_nos,
        version_nos,
        *([part[column] for part in parts] for column in range(3)),
    )
    return Totals(*row)


_TOTALS = """
with unfolded as materialized (
    select d.model_no, d.xid, d.body from delta d left join fold_mark m using (model_no)
    where d.xid >= (select folded_below from horizon) and d.model_no = any($1::int4[])
    and (m.xid is null or d.xid >= m.xid)
)
select string_agg(int4send(model_no), ''::bytea), string_agg(int4send(version_no), ''::bytea),
    string_agg(int4send(octet_length(core)), ''::bytea), string_agg(core, ''::bytea), {hists},
    (select array_agg(model_no order by xid) from unfolded), (select array_agg(body order by xid) from unfolded)
from (
    select r.model_no, r.version_no, r.core, r.hist
    from unnest($1::int4[], $2::int4[]) m(model_no, version_no)
    cross join unnest($3::int4[], $4::int4[], $5::int4[]) p(grain, low, high)
    cross join lateral (
        select * from rollup r where r.model_no = m.model_no and r.version_no = m.version_no
            and r.segment_no = 0 and r.grain = p.grain and r.cohort >= p.low and r.cohort < p.high
        offset 0 -- else the planner may pull it up and read every cohort of every model, to filter them afterwards
    ) r
) found
"""


async def sliced(
    connection: Any,
    model_no: int,
    slicing: Slicing,
    version_nos: Sequence[int],
    parts: Sequence[Part],
    *,
    hour: int | None,
    histograms: bool,
) -> Standing:
    """Rows of all slices; `version_nos` are the model's. With `hour`: what had arrived before it."""
    versions = version_nos if slicing.version_no is None else (slicing.version_no,)
    pairs = (versions, slicing.numbers) if slicing.by is By.SEGMENT else (slicing.numbers, (slicing.segment_no,))
    arrived = () if hour is None else (hour // DAY_OF_HOURS * DAY_OF_HOURS, hour)
    row = await connection.fetchrow(
        _SLICED.format(
            key=f"{slicing.by}_no",
            hists=_hists(histograms),
            pending=_PENDING,
            table="rollup" if hour is None else "triangle",
            arrived="true" if hour is None else _ARRIVED,
        ),
        model_no,
        *pairs,
        *([part[column] for part in parts] for column in range(3)),
        *arrived,
    )
    return Standing(*row)


_ARRIVED = f"((tier = {DAYS} and known < $7) or (tier = {HOURS} and known >= $7 and known < $8))"
_SLICED = """
select string_agg(int4send({key}), ''::bytea), string_agg(int4send(octet_length(core)), ''::bytea),
    string_agg(core, ''::bytea), {hists}, {pending}
from (
    select r.version_no, r.segment_no, r.core, r.hist
    from unnest($2::int4[]) v(version_no)
    cross join unnest($3::int4[]) s(segment_no)
    cross join unnest($4::int4[], $5::int4[], $6::int4[]) p(grain, low, high)
    cross join lateral (
        select * from {table} r where r.model_no = $1 and r.version_no = v.version_no
            and r.segment_no = s.segment_no and r.grain = p.grain and r.cohort >= p.low and r.cohort < p.high
            and {arrived}
        offset 0 -- as for totals
    ) r
) found
"""


async def largest_segments(connection: Any, model_no: int, version_nos: Sequence[int], limit: int) -> list[int]:
    """Those with most folded rows, then by name."""
    rows = await connection.fetch(
        "select s.segment_no from segment s cross join unnest($2::int4[]) v(version_no) "
        "left join rollup r on r.model_no = $1 and r.version_no = v.version_no and r.segment_no = s.segment_no "
        "and r.grain = $4 and r.cohort = 0 where s.model_no = $1 "
        "group by s.segment_no, s.dimension, s.value "
        "order by coalesce(sum(r.n), 0) desc, s.dimension, s.value limit $3",
        model_no,
        version_nos,
        limit,
        TOTAL,
    )
    return [row[0] for row in rows]


async def revision(connection: Any, model_no: int) -> tuple[int, int]:
    """How often the model was rebuilt, and how many deltas it ever got: an answer changes only with one of them."""
    row = await connection.fetchrow(
        "select coalesce(max(m.epoch), 0), coalesce(max(m.deltas), 0) + (select count(*) from delta d "
        "where d.model_no = $1 and d.xid >= coalesce((select xid from fold_mark where model_no = $1), '0'::xid8)) "
        "from fold_mark m where m.model_no = $1",
        model_no,
    )
    return row[0], row[1]


async def segments(connection: Any, model_no: int) -> list[tuple[int, str, str]]:
    """(segment_no, dimension, value), by name."""
    rows = await connection.fetch(
        "select segment_no, dimension, value from segment where model_no = $1 order by dimension, value", model_no
    )
    return [tuple(row) for row in rows]


def _vectors(sizes: bytes | None, cores: bytes | None, hists: list[bytes | None] | None) -> Sparse:
    core = unpack_records(cores or b"", _ints(sizes))
    return interleave(core, hists) if hists else core


def _ints(packed: bytes | None) -> NDArray[np.int64]:
    return np.frombuffer(packed or b"", ">i4").astype(np.int64)


def _hists(histograms: bool) -> str:
    return "array_agg(hist)" if histograms else "null::bytea[]"


def _version(cut: Cut, number: int) -> str:
    """Without a version: every one by its number, so that the index is entered version by version."""
    if cut.version_no is None:
        return "version_no = any(array(select v.id from model_version v where v.model_no = $1))"
    return f"version_no = ${number}"


def _version_argument(cut: Cut) -> tuple[int, ...]:
    return () if cut.version_no is None else (cut.version_no,)
