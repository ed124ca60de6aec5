"""Use cases: trend and summary. Reads rollups, thinks in numpy; what takes more than a moment goes to a thread."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TypeVar

from app.analytics import summary, trend
from app.analytics.answers import Summary, Trend
from app.analytics.errors import TooManyPoints
from app.analytics.questions import TrendQuestion, metric_of, metrics_for, version_of
from app.analytics.schemas import SummaryAsked, TrendAsked, us
from app.analytics.window import Bucket, bounded, upright, widened, window
from app.auth.principal import Principal
from app.core.clock import MINUTE, Clock
from app.core.together import Together
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.stats.metrics import needs_histogram
from app.tracking.rollups.curves import Curves
from app.tracking.rollups.reading import Reading, Series

Result = TypeVar("Result")

ON_LOOP_POINTS = 64  # more points than these take longer than the 2 ms that the event loop may be held


class Analytics:
    """Questions of people and programs about how good their models are."""

    def __init__(self, catalogue: Catalogue, reading: Reading, curves: Curves, clock: Clock) -> None:
        self._catalogue = catalogue
        self._reading = reading
        self._curves = curves
        self._clock = clock
        self._trends: Together[Hashable, Trend] = Together()

    async def ask(self, model_id: str, asked: TrendAsked) -> TrendQuestion:
        """The question, checked. Raises `ModelNotFound` and the 422s of what the model doesn't have."""
        facts = await self._catalogue.facts(model_id)
        return TrendQuestion(
            facts=facts,
            metric=metric_of(facts, asked.metric),
            window=window(asked.interval or Bucket.HOUR, us(asked.from_), us(asked.to), now_us=self._clock.now_us()),
            version=version_of(facts, asked.version),
            segment=asked.segment,
            as_of_us=us(asked.as_of),
            level=asked.level,
            fill=asked.fill,
            may_widen=asked.interval is None,
        )

    async def state(self, facts: ModelFacts) -> str:
        """A text that stays the same while the answers about a model do.

        The minute is in it: buckets mature by time alone.
        """
        revision = await self._reading.revision(facts.id)
        return f"{revision}.{facts.revision}.{self._clock.now_us() // MINUTE}"

    async def trend(self, question: TrendQuestion) -> Trend:
        """Raises `TooManyPoints`, `UnknownSegment`."""
        return await self._trends.of(question.key, lambda: self._trend_of(question))

    async def _trend_of(self, question: TrendQuestion) -> Trend:
        try:
            return await self._trend(question)
        except TooManyPoints:
            if not question.may_widen:
                raise
            return await self._trend(replace(question, window=widened(question.window, Bucket.DAY)))

    async def _trend(self, question: TrendQuestion) -> Trend:
        histograms = needs_histogram(question.metric)
        if histograms:
            await self._series(question, histograms=False)  # refuses too many points before anything large is read
        series = await self._series(question, histograms=histograms)
        curve = await self._curves.of(question.facts, None if question.as_of_us is None else series.as_of_us)
        heavy = histograms or len(series.start_us) > ON_LOOP_POINTS
        return await _worked(heavy, lambda: trend.trend_of(question, series, curve))

    async def summary(self, principal: Principal, asked: SummaryAsked) -> Summary:
        """Every model that the caller may see and that isn't archived, by id. Raises `UnusableWindow`."""
        upright(us(asked.from_), us(asked.to))
        wanted = metrics_for(None if asked.metrics is None else asked.metrics.split(","))
        models = await self.visible(principal)
        now_us = self._clock.now_us()
        shares = await self._reading.totals(
            models,
            histograms=any(needs_histogram(name) for facts in models for name in wanted[facts.task]),
            by_version=asked.by_version,
            from_us=us(asked.from_),
            to_us=us(asked.to),
        )
        lines = summary.lines(models, by_version=asked.by_version)
        return await _worked(True, lambda: summary.summary_of(lines, shares, wanted, asked.level, now_us))

    async def visible(self, principal: Principal) -> list[ModelFacts]:
        """What the caller may see and that isn't archived, by id."""
        models = await self._catalogue.all()
        seen = [facts for facts in models if principal.may_see(facts.model_id) and not facts.archived]
        return sorted(seen, key=lambda facts: facts.model_id)

    async def _series(self, question: TrendQuestion, *, histograms: bool) -> Series:
        """Raises `TooManyPoints`."""
        series = await self._reading.series(
            question.facts,
            grain_s=question.window.bucket.seconds,
            from_us=question.window.from_us,
            to_us=question.window.to_us,
            version_no=question.version_no,
            segment=question.segment,
            as_of_us=question.as_of_us,
            histograms=histograms,
        )
        if not question.fill:
            bounded(question.window.bucket, series.start_us)
            return series
        starts_us = trend.every(series, question.window.from_us, question.window.to_us)
        bounded(question.window.bucket, starts_us)
        return trend.filled(series, starts_us)


async def _worked(heavy: bool, work: Callable[[], Result]) -> Result:
    return await asyncio.to_thread(work) if heavy else work()
