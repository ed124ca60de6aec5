"""SQL of the status that no other slice answers."""

from sqlalchemy import text

from app.db.engine import ReadSession

MOST_WAITING = 100_000  # counting stops here, so that a flood of labels without predictions costs a status 20 ms

_WAITING = text(
    "select count(*) from (select from label_waiting where key >= :low and key < :high limit :most) as found"
)


async def waiting_labels(session: ReadSession, model_no: int) -> int:
    """Labels whose prediction has not come; `MOST_WAITING` at most. A key begins with its model's number."""
    low, high = (number.to_bytes(4, "big") for number in (model_no, model_no + 1))
    found = await session.scalar(_WAITING, {"low": low, "high": high, "most": MOST_WAITING})
    return int(found or 0)
