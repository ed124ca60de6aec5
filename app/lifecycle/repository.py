"""SQL of the status that no other slice answers."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.db.engine import Session

MOST_WAITING = 100_000  # counting stops here, so that a flood of labels without predictions costs a status 20 ms

# A key begins with its model's number.
_PULSE = (
    "select id, revision, lifecycle_revision, "
    "(select count(*) from (select from label_waiting where key >= int4send(m.id) and key < int4send(m.id + 1) "
    "limit $2) as found) as waiting from model as m where model_id = $1"
)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What changes of a model; `waiting`: labels whose prediction has not come, `MOST_WAITING` at most."""

    number: int
    facts_revision: int
    lifecycle_revision: int
    waiting: int


async def pulse(connection: Any, model_id: str) -> Pulse | None:
    """On a connection of the hot pool: a status is asked for all the time, and mostly nothing else was to be read."""
    row = await connection.fetchrow(_PULSE, model_id, MOST_WAITING)
    return None if row is None else Pulse(*row)


async def tracked(session: Session, model_no: int) -> bool:
    """Whether rows of the model are kept: predictions, or labels that wait for theirs."""
    own = "key >= int4send(:number) and key < int4send(:number + 1)"
    query = text(f"select exists (select from prediction where {own})")  # noqa: S608  nothing of the caller's is in it
    return bool(await session.scalar(query, {"number": model_no}))
