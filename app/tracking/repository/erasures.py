"""SQL of what erasures left for those who count again."""

from typing import Any

from app.tracking.ledger import Ledger, merge, unpack


async def ledger(connection: Any, model_no: int, hour: int | None = None) -> Ledger:
    """What raw rows no longer say of a model but its statistics do: what was counted, and taken back later.

    With `hour` (since the epoch): what became known in it.
    """
    rows = await connection.fetch(
        "select body from erasure where model_no = $1 and ($2::int4 is null or hour = $2)", model_no, hour
    )
    return merge([unpack(row["body"]) for row in rows])
