"""The delay of a model's labels, remembered for some seconds: what says how mature a bucket is."""

import asyncio
from dataclasses import dataclass

from app.core.cache import Remembered
from app.core.clock import SECOND, Clock
from app.core.together import Together
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
        self._together: Together[tuple[int, int | None], DelayCurve] = Together()

    async def of(self, facts: ModelFacts, as_of_us: int | None = None) -> DelayCurve:
        """As known now, or as of an effective moment (`Series.as_of_us`): the one asked for may lie after the horizon.

        A young model's labels count at once. Of a curve that is well known they count within five seconds, as ages do.
        """
        key = (facts.id, as_of_us)
        known = self._well_known(key)
        return known or await self._together.of(key, lambda: self._learned(facts, key))

    async def _learned(self, facts: ModelFacts, key: tuple[int, int | None]) -> DelayCurve:
        well_known = self._well_known(key)  # by the one before, whose end was waited for
        if well_known is not None:
            return well_known
        revision, known = await self._reading.revision(facts.id), self._known.get(key, self._clock.now_us())
        if known is not None and known.revision == revision:
            return known.curve
        delays = await self._reading.delays(facts, as_of_us=key[1])
        curve = await asyncio.to_thread(fitted, delays)
        self._known.put(key, _Known(revision, curve), self._clock.now_us() + KEPT_US)
        return curve

    def _well_known(self, key: tuple[int, int | None]) -> DelayCurve | None:
        known = self._known.get(key, self._clock.now_us())
        return known.curve if known is not None and key[1] is None and known.curve.labels >= WELL_KNOWN else None


def fitted(delays: Delays) -> DelayCurve:
    return kaplan_meier(delays.histogram, ages(delays.age_us / SECOND, delays.waiting))
