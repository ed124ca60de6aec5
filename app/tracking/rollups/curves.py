"""The delay of a model's labels, remembered for some seconds: what says how mature a bucket is."""

import asyncio
from dataclasses import dataclass

from app.core.cache import Remembered
from app.core.clock import SECOND, Clock
from app.models.facts import ModelFacts
from app.stats.delays import DelayCurve, ages, kaplan_meier
from app.tracking.rollups.reading import Delays, Reading

KEPT = 512
KEPT_US = 5 * SECOND
WELL_KNOWN = 1000  # labels; what comes within five seconds moves a curve of so many no further than its ages do


@dataclass(frozen=True, slots=True)
class _Known:
    revision: str
    curve: DelayCurve


class Curves:
    """Of whole models: versions and segments share the process that makes their labels."""

    def __init__(self, reading: Reading, clock: Clock) -> None:
        self._reading = reading
        self._clock = clock
        self._known: Remembered[tuple[int, int | None], _Known] = Remembered(KEPT)

    async def of(self, facts: ModelFacts, as_of_us: int | None = None) -> DelayCurve:
        """As known now, or as of an effective moment (`Series.as_of_us`): the one asked for may lie after the horizon.

        A young model's labels count at once. Of a curve that is well known they count within five seconds, as ages do.
        """
        key = (facts.id, as_of_us)
        known = self._known.get(key, self._clock.now_us())
        if known is not None and as_of_us is None and known.curve.labels >= WELL_KNOWN:
            return known.curve
        revision = await self._reading.revision(facts.id)
        if known is not None and known.revision == revision:
            return known.curve
        delays = await self._reading.delays(facts, as_of_us=as_of_us)
        curve = await asyncio.to_thread(fitted, delays)
        self._known.put(key, _Known(revision, curve), self._clock.now_us() + KEPT_US)
        return curve


def fitted(delays: Delays) -> DelayCurve:
    return kaplan_meier(delays.histogram, ages(delays.age_us / SECOND, delays.waiting))
