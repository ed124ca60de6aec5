"""Small groups take the shortest road: one statement that stores all and commits.

What a delta counts depends on the minute in which its rows became known, and that is the database's to say. So the
minute is foretold, and the statement stores nothing in another one. It is foretold wrongly once a minute at most.
"""

from app.core.clock import MINUTE, Clock, SystemClock
from app.db.engine import Database
from app.tracking import block
from app.tracking.ledger import pack
from app.tracking.repository import at_once
from app.tracking.storing import prepare
from app.tracking.storing.prepare import Prepared

ROWS = 256  # beyond it the arrays cost more than COPY and four round trips


class AtOnce:
    """One per process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._ahead_us = 0  # the database's clock, before ours, when last seen
        self._erased: set[int] = set()  # models of which rows were erased; that stays

    def fits(self, prepared: Prepared) -> bool:
        """A clock that was handed in can't be read inside of a statement."""
        batch = prepared.batch
        return (
            len(batch) <= ROWS
            and batch.known_at is None
            and batch.subject is None
            and prepared.facts.id not in self._erased
            and isinstance(self._clock, SystemClock)
        )

    async def store(self, prepared: Prepared) -> bool:
        """Whether the rows are durable now; if not, nothing was stored. Raises `KeyTaken`."""
        now_us = self._clock.now_us() + self._ahead_us
        rows, batch = prepared.keys.rows, prepared.batch
        scores = [None] * len(rows) if batch.scores is None else [row.tobytes() for row in batch.scores[rows]]
        try:
            async with self._database.connection() as connection:
                return await at_once.store(
                    connection,
                    prepared.facts.id,
                    minute_us=now_us // MINUTE * MINUTE,
                    keys=prepared.keys.tolist(),
                    columns=[
                        prepare.places(prepared, rows, 0).tolist(),
                        prepared.content[rows].tolist(),
                        batch.predicted_at[rows].tolist(),
                        batch.score[rows].tolist(),
                        prepared.context_id[rows].tolist(),
                        batch.predicted[rows].tolist(),
                        scores,
                    ],
                    form=block.FORMAT,
                    body=prepare.body(prepared),
                    delta=pack(prepare.ledger(prepared, now_us)),
                )
        except at_once.Erased:
            self._erased.add(prepared.facts.id)
            return False

    def saw(self, arrived_us: int) -> None:
        """The database's clock stood there just now."""
        self._ahead_us = arrived_us - self._clock.now_us()
