"""SQL of the dictionaries: what a segment value and a combination of version and segments is called in rows."""

from collections.abc import Sequence
from typing import Any

LOCK = 0x5E6  # class of the advisory locks "I extend the dictionaries of model n"


async def lock(connection: Any, model_no: int) -> None:
    """Until the transaction ends, nobody else extends them; so the caps hold and no value gets two places."""
    await connection.execute("select pg_advisory_xact_lock($1, $2)", LOCK, model_no)


async def segments(connection: Any, model_no: int, after: int = 0) -> list[tuple[int, str, str]]:
    """segment_no, dimension and value, those numbered above `after`."""
    query = "select segment_no, dimension, value from segment where model_no = $1 and segment_no > $2 order by 1"
    return [tuple(row) for row in await connection.fetch(query, model_no, after)]


async def add_segments(connection: Any, model_no: int, values: Sequence[tuple[str, str]]) -> None:
    await connection.execute(
        "insert into segment (model_no, dimension, value) select $1, * from unnest($2::text[], $3::text[])",
        model_no,
        [dimension for dimension, _ in values],
        [value for _, value in values],
    )


async def contexts(connection: Any, model_no: int, after: int = 0) -> list[tuple[int, int, list[int]]]:
    """context_id, version_no and segment_nos, those numbered above `after`."""
    query = "select context_id, version_no, segment_nos from context where model_no = $1 and context_id > $2 order by 1"
    return [tuple(row) for row in await connection.fetch(query, model_no, after)]


async def add_contexts(connection: Any, model_no: int, found: Sequence[tuple[int, tuple[int, ...]]]) -> None:
    await connection.executemany(
        "insert into context (model_no, version_no, segment_nos) values ($1, $2, $3)",
        [(model_no, version_no, list(segment_nos)) for version_no, segment_nos in found],
    )
