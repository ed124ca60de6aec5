"""SQL of the status that no other slice answers."""

from dataclasses import dataclass
from typing import Any

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
