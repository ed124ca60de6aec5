"""What the page draws: every model at a glance and one of them in full, in one answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.analytics import summary, trend
from app.analytics.answers import Board, Choices, Columns, Panel, Slice, Standing
from app.analytics.questions import DEFAULT, metric_of, version_of
from app.analytics.schemas import BoardAsked, us
from app.analytics.service import Analytics
from app.analytics.window import MAX_POINTS, Bucket, latest_minutes
from app.auth.errors import ModelOutOfReach
from app.auth.principal import Principal
from app.core.clock import DAY, HOUR, SECOND, Clock, rfc3339
from app.models.errors import ModelNotFound
from app.models.facts import ModelFacts
from app.stats.delays import DelayCurve
from app.stats.metrics import Estimates, estimate, metrics_of, needs_histogram
from app.stats.tally import Tally
from app.tracking.rollups.curves import Curves
from app.tracking.rollups.reading import Reading, Series, Share

Named = Sequence[tuple[str, Share]]

LEVEL = 0.95
SPANS = {"24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY, "365d": 365 * DAY, "all": None}
FEW_DAYS = 8  # up to here days are too coarse to show anything
ROWS_OF_AN_HOUR = 300  # with fewer an hour's interval is wider than ± 3 points, and a month of them is a blur
HOURS_SHOWN = 31 * 24
SLICES_SHOWN = 24


@dataclass(frozen=True, slots=True)
class View:
    """A checked question about one model: which numbers, of which rows, over which buckets."""

    facts: ModelFacts
    metric: str
    span: str
    version: str | None
    segment: str | None
    as_of_us: int | None
    bucket: Bucket = Bucket.DAY
    from_us: int | None = None

    @property
    def version_no(self) -> int | None:
        return None if self.version is None else self.facts.versions[self.version]


class Boards:
    """Puts together what `Analytics` and the rollups know."""

    def __init__(self, analytics: Analytics, reading: Reading, curves: Curves, clock: Clock) -> None:
        self._analytics = analytics
        self._reading = reading
        self._curves = curves
        self._clock = clock

    async def board(self, principal: Principal, asked: BoardAsked) -> Board:
        """Raises `ModelOutOfReach`, `ModelNotFound`, `UnknownMetric`, `UnknownVersion`, `UnknownSegment`."""
        if asked.model is not None and not principal.may_see(asked.model):
            raise ModelOutOfReach("there is no such model")  # as the guard says where the address names it
        models = await self._analytics.visible(principal)
        shares = await self._reading.totals(models)
        wanted = {task: (name,) for task, name in DEFAULT.items()}
        lines = summary.lines(models, by_version=False)
        standings = await asyncio.to_thread(summary.standings, lines, shares, wanted, LEVEL)
        chosen = _chosen(models, standings, asked.model)
        panel, as_of_us = (None, self._clock.now_us()) if chosen is None else await self._panel(chosen, asked)
        return Board(models=standings, panel=panel, as_of=rfc3339(as_of_us // SECOND * SECOND), level=LEVEL)

    async def _panel(self, facts: ModelFacts, asked: BoardAsked) -> tuple[Panel, int]:
        view = View(
            facts,
            metric_of(facts, asked.metric),
            asked.range,
            version_of(facts, asked.version),
            asked.segment,
            us(asked.as_of),
        )
        days = await self._series(view, Bucket.DAY)
        view = self._placed(view, days, asked.interval)
        series = await self._series(view, view.bucket, histograms=needs_histogram(view.metric))
        curve = await self._curves.of(facts, None if view.as_of_us is None else series.as_of_us)
        known = {number: f"{key}:{value}" for number, key, value in await self._reading.segments(facts.id)}
        segments, versions = await self._slices(view, known)
        panel = await asyncio.to_thread(_drawn, view, series, curve, segments, versions, list(known.values()))
        return panel, series.as_of_us

    def _placed(self, view: View, days: Series, interval: Bucket | None) -> View:
        """The window back from the newest data, and an interval in which it is easy to read."""
        if not len(days.start_us):
            return replace(view, bucket=interval or Bucket.HOUR)
        end = min(int(days.start_us[-1]) + DAY, days.as_of_us)
        span = SPANS[view.span]
        start = int(days.start_us[0]) if span is None else max(int(days.start_us[0]), end - span)
        bucket = interval or _readable(days, start)
        if bucket is Bucket.HOUR and (end - start) // HOUR >= MAX_POINTS:
            bucket = Bucket.DAY
        if bucket is Bucket.MINUTE:
            start = max(start, latest_minutes(self._clock.now_us() + 1))
        return replace(view, bucket=bucket, from_us=start // bucket.us * bucket.us)

    async def _series(self, view: View, bucket: Bucket, *, histograms: bool = False) -> Series:
        return await self._reading.series(
            view.facts,
            grain_s=bucket.seconds,
            from_us=view.from_us,
            version_no=view.version_no,
            segment=view.segment,
            as_of_us=view.as_of_us,
            histograms=histograms,
        )

    async def _slices(self, view: View, known: Mapping[int, str]) -> tuple[Named, Named]:
        """The largest segments and the newest versions, those with most predictions first; without rows: left out."""
        segment_nos = list(known)
        if len(segment_nos) > SLICES_SHOWN:
            segment_nos = await self._reading.largest_segments(view.facts, SLICES_SHOWN)
        version_names = {number: name for name, number in view.facts.versions.items()}
        segments, versions = await self._reading.slices(
            view.facts,
            grain_s=view.bucket.seconds,
            segment_nos=segment_nos,
            version_nos=list(version_names)[-SLICES_SHOWN:],
            from_us=view.from_us,
            version_no=view.version_no,
            segment=view.segment,
            as_of_us=view.as_of_us,
            histograms=needs_histogram(view.metric),
        )
        return _named(segments, known), _named(versions, version_names)


def _named(shares: Mapping[int, Share], names: Mapping[int, str]) -> Named:
    found = [(names[number], share) for number, share in shares.items() if number in names]
    return sorted(found, key=lambda pair: (-int(pair[1].tally.n[pair[1].point]), pair[0]))


def _chosen(models: Sequence[ModelFacts], standings: Sequence[Standing], model_id: str | None) -> ModelFacts | None:
    """The one asked for; else the one with most predictions."""
    if model_id is None:
        order = max(range(len(models)), key=lambda place: standings[place].n, default=None)
        return None if order is None else models[order]
    found = next((facts for facts in models if facts.model_id == model_id), None)
    if found is None:
        raise ModelNotFound.of(model_id)
    return found


def _readable(days: Series, start_us: int) -> Bucket:
    """Hours where the window is short, or where each hour has enough rows to say something."""
    shown = days.tally.n[days.start_us >= start_us // DAY * DAY]
    hours = len(shown) * 24
    if len(shown) <= FEW_DAYS or (hours <= HOURS_SHOWN and shown.sum() >= ROWS_OF_AN_HOUR * hours):
        return Bucket.HOUR
    return Bucket.DAY


def _drawn(
    view: View,
    series: Series,
    curve: DelayCurve,
    segments: Named,
    versions: Named,
    known: Sequence[str],
) -> Panel:
    series = trend.filled(series, trend.every(series, None, None))
    found = estimate(series.tally, view.metric, level=LEVEL)
    return Panel(
        model_id=view.facts.model_id,
        task=view.facts.task.value,
        default_version=view.facts.default_version,
        metric=view.metric,
        interval=view.bucket.value,
        range=view.span,
        version=view.version,
        segment=view.segment,
        level=LEVEL,
        columns=trend.columns(series, found, trend.maturity(series, curve)),
        overall=trend.overall_of(series.tally, view.metric, LEVEL),
        delay=trend.delay_of(curve),
        segments=_compared(segments, view.metric),
        versions=_compared(versions, view.metric),
        choices=Choices(list(metrics_of(view.facts.task)), list(view.facts.versions), list(known)),
        meta=trend.meta_of(view.metric, found, trend.FILLED),
    )


def _compared(named: Named, metric: str) -> list[Slice]:
    """All are points of one tally, which is estimated once."""
    if not named:
        return []
    tally = named[0][1].tally
    found = estimate(tally, metric, level=LEVEL)
    return [_slice(name, tally, found, share.point) for name, share in named]


def _slice(name: str, tally: Tally, estimates: Estimates, point: int) -> Slice:
    found = summary.value_of(estimates, point)
    n, labelled = int(tally.n[point]), int(tally.labelled[point])
    return Slice(name, n, labelled, labelled / n if n else None, found.value, found.ci_low, found.ci_high)


def since(columns: Columns, from_us: int) -> Columns:
    """The columns from a bucket on."""
    first = int(np.searchsorted(columns.x, from_us / SECOND))
    return Columns(
        columns.x[first:],
        columns.n[first:],
        columns.labelled[first:],
        columns.value[first:],
        columns.low[first:],
        columns.high[first:],
        columns.maturity[first:],
    )
