"""The delay of a model's labels, remembered while nothing new arrives: what says how mature a bucket is."""

import asyncio

from app.core.cache import Remembered
from app.core.clock import MINUTE, SECOND, Clock
from app.models.facts import ModelFacts
from app.stats.delays import DelayCurve, ages, kaplan_meier
from app.tracking.rollups.reading import Delays, Reading

KEPT = 512
KEPT_US = 10 * MINUTE  # the estimate moves slowly; a new label every second need not cost two queries each time


class Curves:
    """Of whole models: versions and segments share the process that makes their labels."""

    def __init__(self, reading: Reading, clock: Clock) -> None:
        self._reading = reading
        self._clock = clock
        self._known: Remembered[tuple[int, int | None], DelayCurve] = Remembered(KEPT)

    async def of(self, facts: ModelFacts, as_of_us: int | None = None) -> DelayCurve:
        """As known now (at most ten minutes old), or as of a moment."""
        key = (facts.id, as_of_us)
        curve = self._known.get(key, self._clock.now_us())
        if curve is None:
            delays = await self._reading.delays(facts, as_of_us=as_of_us)
            curve = await asyncio.to_thread(fitted, delays)
            self._known.put(key, curve, self._clock.now_us() + KEPT_US)
        return curve


def fitted(delays: Delays) -> DelayCurve:
    return kaplan_meier(delays.histogram, ages(delays.age_us / SECOND, delays.waiting))
