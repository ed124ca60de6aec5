"""The delay of a model's labels, remembered while nothing new arrives: what says how mature a bucket is."""

import asyncio

from app.core.cache import Remembered
from app.core.clock import SECOND, Clock
from app.models.facts import ModelFacts
from app.stats.delays import DelayCurve, ages, kaplan_meier
from app.tracking.rollups.reading import Delays, Reading

KEPT = 512
KEPT_US = 5 * SECOND  # while nothing arrives only ages move, and those slowly


class Curves:
    """Of whole models: versions and segments share the process that makes their labels."""

    def __init__(self, reading: Reading, clock: Clock) -> None:
        self._reading = reading
        self._clock = clock
        self._known: Remembered[tuple[str, int | None], DelayCurve] = Remembered(KEPT)

    async def of(self, facts: ModelFacts, as_of_us: int | None = None) -> DelayCurve:
        """As known now, or as of an effective moment (`Series.as_of_us`): the one asked for may lie after the horizon.

        Every label counts at once; ages are up to five seconds old.
        """
        key = (await self._reading.revision(facts.id), as_of_us)
        curve = self._known.get(key, self._clock.now_us())
        if curve is None:
            delays = await self._reading.delays(facts, as_of_us=as_of_us)
            curve = await asyncio.to_thread(fitted, delays)
            self._known.put(key, curve, self._clock.now_us() + KEPT_US)
        return curve


def fitted(delays: Delays) -> DelayCurve:
    return kaplan_meier(delays.histogram, ages(delays.age_us / SECOND, delays.waiting))
