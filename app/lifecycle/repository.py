"""SQL of the status that no other slice answers."""

from dataclasses import dataclass

from sqlalchemy import text

from app.db.engine import ReadSession

MOST_WAITING = 100_000  # counting stops here, so that a flood of labels without predictions costs a status 20 ms

# A key begins with its model's number.
_PULSE = text(
    "select id, revision, lifecycle_revision, "
    "(select count(*) from (select from label_waiting where key >= int4send(m.id) and key < int4send(m.id + 1) "
    "limit :most) as found) as waiting from model as m where model_id = :model_id"
)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What changes of a model; `waiting`: labels whose prediction has not come, `MOST_WAITING` at most."""

    number: int
    facts_revision: int
    lifecycle_revision: int
    waiting: int


async def pulse(session: ReadSession, model_id: str) -> Pulse | None:
    row = (await session.execute(_PULSE, {"model_id": model_id, "most": MOST_WAITING})).one_or_none()
    return None if row is None else Pulse(*row)
