"""Folding: the deltas of ended transactions become rows of the rollup and the triangle, each exactly once.

A model is folded in one transaction under its advisory lock: everything with `mark <= xid < xmin` is merged, added, and
the mark set to that xmin. No transaction below xmin is under way, so none can appear there later; a crash rolls back
the rows together with the mark and the next round does the same work again.
"""

import asyncio
import logging
from dataclasses import replace

from opentelemetry.trace import Tracer

from app.core.clock import SECOND, Clock
from app.core.health import HealthProbe
from app.core.spans import NO_TRACER
from app.core.telemetry import FOLDED
from app.db.engine import Database
from app.tracking.ledger import Ledger, merge, unpack
from app.tracking.repository import folding
from app.tracking.repository.folding import Ended
from app.tracking.repository.rollups import add
from app.tracking.rollups.expansions import Expansions
from app.tracking.rollups.grains import Contexts, Rows, rollups
from app.tracking.rollups.lag import Lag

logger = logging.getLogger(__name__)

NOTE_EVERY_US = 5 * SECOND  # how often an idle folder still moves the horizon
WAKES_AFTER_S = 0.05  # lets the commits of one burst share a round
RESTS_S = 0.2  # between rounds while commits keep coming: each round costs as much as ten single predictions


class Folder:
    """Folds; any number of processes may, one works on a model at a time."""

    def __init__(
        self, database: Database, clock: Clock, *, interval_s: float = 1.0, tracer: Tracer = NO_TRACER
    ) -> None:
        self._database = database
        self._clock = clock
        self._interval_s = interval_s
        self._tracer = tracer
        self._expansions = Expansions()
        self._woken = asyncio.Event()
        self.lag = Lag(clock)

    def health_probes(self) -> tuple[HealthProbe, ...]:
        return self.lag.health_probes()

    def wake(self) -> None:
        """Something was committed: fold soon rather than at the next interval."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Folds until told to stop; a database that is away is waited for."""
        while not stop.is_set():
            started = asyncio.get_running_loop().time()
            self._woken.clear()
            folded = 0
            try:
                folded = await self.fold_all()
            except Exception:
                logger.exception("a round of folding failed; the next one repeats it")
            await self._rest(stop, started, RESTS_S if folded else WAKES_AFTER_S)

    async def fold_all(self) -> int:
        """One round over all models that have something to fold; how many deltas were folded."""
        async with self._database.transaction(patient=True) as connection:
            ended = await folding.ended(connection)
            models = await folding.pending_models(connection, ended.folded_below)
        folded = 0
        for model_no in models:
            try:
                more = True
                while more:
                    with self._tracer.start_as_current_span("fold", attributes={"assay.model_no": model_no}) as span:
                        done, more = await self._fold(model_no)
                        span.set_attribute("assay.deltas", done)
                    folded += done
            except Exception:
                logger.exception("model %s could not be folded", model_no)
        await self._finish(ended, models)
        FOLDED.inc(folded)
        return folded

    async def fold(self, model_no: int) -> int:
        """Folds one model (one round's worth); how many deltas. 0 also where another process is at it."""
        return (await self._fold(model_no))[0]

    async def _fold(self, model_no: int) -> tuple[int, bool]:
        """How many deltas were folded, and whether there are more that could be."""
        async with self._database.transaction(patient=True) as connection:
            if not await folding.lock(connection, model_no):
                return 0, False
            mark = await folding.mark(connection, model_no)
            below = (await folding.ended(connection)).xmin
            batch = await folding.deltas(connection, model_no, since=mark.xid, below=below)
            if not batch.bodies:
                return 0, False
            ledger = await asyncio.to_thread(_merged, batch.bodies)
            contexts = await self._expansions.of(connection, model_no, ledger.cells["context"])
            now, then = await asyncio.to_thread(_spread, ledger, contexts, self._clock.now_us())
            await add(connection, "rollup", model_no, now)
            await add(connection, "triangle", model_no, then)
            done = replace(mark, xid=batch.upto, deltas=mark.deltas + len(batch.bodies))
            await folding.set_mark(connection, model_no, done)
            await folding.announce(connection, model_no)
        return len(batch.bodies), batch.more

    async def _finish(self, ended: Ended, models: list[int]) -> None:
        """Moves the global mark and the horizon, and measures what is left."""
        async with self._database.transaction(patient=True) as connection:
            marks = [await folding.mark(connection, model_no) for model_no in models]
            low = ended.xmin if all(mark.xid >= ended.xmin for mark in marks) else ended.folded_below
            if models:
                await folding.folded_below(connection, low)
            if models or self._clock.now_us() - ended.noted_us >= NOTE_EVERY_US:
                await self._note(connection)
            await self.lag.look(connection, low)

    async def _note(self, connection: object) -> None:
        """What was noted becomes the horizon once its transactions have ended; then a new moment is noted."""
        t0, xid = await folding.moment(connection, self._clock)
        ended = await folding.ended(connection)
        if ended.xmin == xid:
            await folding.note(connection, horizon_us=t0 - 1, noted_us=t0, noted_xid=xid)
        elif ended.xmin >= ended.noted_xid:
            await folding.note(connection, horizon_us=ended.noted_us - 1, noted_us=t0, noted_xid=xid)

    async def _rest(self, stop: asyncio.Event, started: float, pause_s: float) -> None:
        """Until the interval is over; a commit ends it, `pause_s` later, so after a quiet time it is folded at once."""
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._woken.wait())]
        await asyncio.wait(waits, timeout=self._interval_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        spent = asyncio.get_running_loop().time() - started
        if not stop.is_set() and spent < self._interval_s:
            await asyncio.sleep(min(pause_s, self._interval_s - spent))


def _merged(bodies: list[bytes]) -> Ledger:
    return merge([unpack(body) for body in bodies])


def _spread(ledger: Ledger, contexts: Contexts, now_us: int) -> tuple[Rows, Rows]:
    return rollups(ledger, contexts, now_us)
