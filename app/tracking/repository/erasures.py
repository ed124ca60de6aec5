"""SQL of what erasures left for those who count again."""

from typing import Any

from app.tracking.ledger import Ledger, merge, unpack


async def ledger(connection: Any, model_no: int) -> Ledger:
    """All that raw rows no longer say of a model but its statistics do: what was counted, and taken back later."""
    rows = await connection.fetch("select body from erasure where model_no = $1", model_no)
    return merge([unpack(row["body"]) for row in rows])
