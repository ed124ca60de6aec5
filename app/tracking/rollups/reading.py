"""Answers from the rollups: what is so now, what was known at a moment, all models at a glance.

"Now" is the rollup plus the deltas that are not folded yet, read by one statement, hence in one snapshot: what was
acknowledged before the question is in the answer. "As of T" is the triangle's whole hours, the unfolded deltas of that
time and what `moments` says of T's own hour, in one snapshot too; T is cut back to the horizon, so the answer never
changes afterwards but by an import.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.clock import DAY, MINUTE, Clock
from app.db.engine import Database
from app.models.facts import ModelFacts
from app.stats.codes import DELAY_BINS
from app.stats.sparse import Sparse, core_only
from app.stats.tally import Shape, Tally
from app.tracking.ledger import Ledger, merge, unpack
from app.tracking.repository import reads
from app.tracking.repository.reads import Standing, Totals
from app.tracking.rollups.errors import UnknownSegment
from app.tracking.rollups.expansions import Expansions
from app.tracking.rollups.grains import (
    DAYS,
    EVERYTHING,
    GRAINS,
    HOURS,
    MINUTES,
    Cut,
    Rows,
    add_up,
    answer,
    minute_floor,
)
from app.tracking.rollups.moments import Moments
from app.tracking.rollups.slices import EVERY_COHORT, By, Slicing, counts_only, parts_of

OFF_LOOP_BYTES = 2_000_000  # decoding more than this takes over about 2 ms: it goes to a thread
RECENT_DAYS = 7  # delays resolve the age of younger cohorts by hours, of older ones by days
KNOWN_SEGMENTS = 100


@dataclass(frozen=True, slots=True)
class Series:
    """Statistics by bucket; only buckets with rows, in order of time. `start_us` and `tally` have P points."""

    grain_s: int
    start_us: NDArray[np.int64]
    tally: Tally
    as_of_us: int  # the effective moment: not after the horizon; for "now" just before the snapshot


@dataclass(frozen=True, slots=True)
class Share:
    """One model's (or version's) point in a tally that models of one shape share: estimate the tally once."""

    tally: Tally
    point: int


@dataclass(frozen=True, slots=True)
class Delays:
    """Labels by delay (bins of `stats.codes.DELAY_EDGES_S`), and what still waits by the age of its cohort."""

    histogram: NDArray[np.int64]  # [160] labelled predictions
    age_us: NDArray[np.int64]  # [P] from the middle of a cohort to `as_of_us`
    waiting: NDArray[np.int64]  # [P] predictions of that cohort without a label
    as_of_us: int


class Reading:
    """Questions about rollups; no answer's cost grows with the number of predictions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._moments = Moments(database, clock)
        self._expansions = Expansions()
        self._segments: dict[tuple[int, str], int] = {}

    async def series(
        self,
        facts: ModelFacts,
        *,
        grain_s: int,
        from_us: int | None = None,
        to_us: int | None = None,
        version_no: int | None = None,
        segment: str | None = None,
        as_of_us: int | None = None,
        histograms: bool = False,
    ) -> Series:
        """Whole buckets of 60, 3600 or 86,400 s whose *start* lies in [from, to); versions left out: all together.

        The minute grain holds the last 48 hours, without histograms. Raises `UnknownSegment`.
        """
        if grain_s not in GRAINS:
            raise ValueError(f"grain_s must be one of {GRAINS}, not {grain_s}")
        low, high = _ceil(from_us, MINUTE), _ceil(to_us, MINUTE)
        if grain_s == MINUTES:
            histograms = False
            floor = minute_floor(self._clock.now_us())
            low = floor if low is None else max(low, floor)
        cut = Cut(grain_s, low, high, version_no, await self._segment_no(facts, segment))
        rows, moment = await (
            self._now(facts.id, cut, histograms) if as_of_us is None else self._as_of(facts, cut, as_of_us, histograms)
        )
        (start,) = rows.keys
        return Series(grain_s, start * MINUTE, Tally.of(facts.shape, len(rows), rows.sparse), moment)

    async def totals(
        self,
        models: Sequence[ModelFacts],
        *,
        histograms: bool = False,
        by_version: bool = False,
        from_us: int | None = None,
        to_us: int | None = None,
    ) -> dict[tuple[int, int | None], Share]:
        """Sums of many models in one query: (model_no, version_no or None) -> its point; without rows: absent.

        With a range: hours whose start lies in [from, to).
        """
        span = Cut(HOURS, _ceil(from_us, MINUTE), _ceil(to_us, MINUTE))
        parts = [EVERY_COHORT] if from_us is None and to_us is None else parts_of(span)
        pairs = [(facts.id, number) for facts in models for number in facts.versions.values()]
        async with self._database.connection() as connection:
            found = await reads.totals(
                connection, [model for model, _ in pairs], [number for _, number in pairs], parts, histograms=histograms
            )
            fresh = await self._fresh_totals(connection, found, span.from_minute, span.to_minute)
        if not histograms:
            fresh = counts_only(fresh)
        return await asyncio.to_thread(_shares, models, found, fresh, by_version)

    async def slices(
        self,
        facts: ModelFacts,
        *,
        grain_s: int,
        segment_nos: Sequence[int],
        version_nos: Sequence[int],
        from_us: int | None = None,
        version_no: int | None = None,
        segment: str | None = None,
        as_of_us: int | None = None,
        histograms: bool = False,
    ) -> tuple[dict[int, Share], dict[int, Share]]:
        """Sums by segment (of one version or all) and by version (of one segment or the whole), one query each.

        segment_no → its point and version_no → its point; without rows: absent. Over the buckets of `series` from
        `from_us` on, hence with the same sums. Raises `UnknownSegment`.
        """
        span = self._span(grain_s, from_us)
        histograms = histograms and span.grain_s != MINUTES
        sides = (
            Slicing(By.SEGMENT, tuple(segment_nos), version_no=version_no),
            Slicing(By.VERSION, tuple(version_nos), segment_no=await self._segment_no(facts, segment)),
        )
        settled = None if as_of_us is None else await self._moments.settle(as_of_us)
        async with self._database.transaction(snapshot=True) as connection:
            hour, tail, parts = None, Ledger.empty(), parts_of(span)
            if settled is not None:
                moment = await self._moments.at(connection, facts, settled)
                hour, tail = moment.hour, moment.rest
            elif from_us is None and span.grain_s != MINUTES:
                parts = [EVERY_COHORT]
            found = []
            for slicing in sides:
                standing = await reads.sliced(
                    connection,
                    facts.id,
                    slicing,
                    list(facts.versions.values()),
                    parts,
                    hour=hour,
                    histograms=histograms,
                )
                ledger = _unfolded(standing)
                asked = np.concatenate([ledger.cells["context"], tail.cells["context"]])
                contexts = await self._expansions.of(connection, facts.id, asked)
                fresh = slicing.fresh(ledger, contexts, span, None if hour is None else hour * 60)
                fresh += slicing.fresh(tail, contexts, span)
                found.append((standing, fresh if histograms else counts_only(fresh)))
        by_segment, by_version = [await asyncio.to_thread(_points, facts.shape, *each) for each in found]
        return by_segment, by_version

    async def largest_segments(self, facts: ModelFacts, limit: int) -> list[int]:
        """The segments with most rows, as far as these are folded."""
        async with self._database.connection() as connection:
            return await reads.largest_segments(connection, facts.id, list(facts.versions.values()), limit)

    async def delays(self, facts: ModelFacts, *, as_of_us: int | None = None) -> Delays:
        """How long labels of the whole model took and what still waits."""
        border = ((as_of_us or self._clock.now_us()) // DAY - RECENT_DAYS) * DAY
        moment = as_of_us
        parts = []
        for grain_s, start, end in ((HOURS, border, None), (DAYS, None, border)):
            part = await self.series(facts, grain_s=grain_s, from_us=start, to_us=end, as_of_us=moment)
            moment = moment if moment is None else part.as_of_us
            parts.append(part)
        return _delays(parts)

    async def segments(self, model_no: int) -> list[tuple[int, str, str]]:
        """(segment_no, key, value), by name."""
        async with self._database.connection() as connection:
            return await reads.segments(connection, model_no)

    async def revision(self, model_no: int) -> str:
        """Another text exactly when "now" may answer otherwise: a source for ETags."""
        async with self._database.connection() as connection:
            epoch, deltas = await reads.revision(connection, model_no)
        return f"{model_no}.{epoch}.{deltas}"

    async def _now(self, model_no: int, cut: Cut, histograms: bool) -> tuple[Rows, int]:
        moment = self._clock.now_us()
        async with self._database.connection() as connection:
            standing = await reads.now(connection, model_no, cut, histograms=histograms)
            ledger = _unfolded(standing)
            contexts = await self._expansions.of(connection, model_no, ledger.cells["context"])
        rows = await _decoded(standing)
        return _together(rows, answer(ledger, contexts, cut), histograms), moment

    async def _as_of(self, facts: ModelFacts, cut: Cut, as_of_us: int, histograms: bool) -> tuple[Rows, int]:
        settled = await self._moments.settle(as_of_us)
        async with self._database.transaction(snapshot=True) as connection:
            moment = await self._moments.at(connection, facts, settled)
            standing = await reads.as_of(connection, facts.id, cut, moment.hour, histograms=histograms)
            ledger, rest = _unfolded(standing), moment.rest
            asked = np.concatenate([ledger.cells["context"], rest.cells["context"]])
            contexts = await self._expansions.of(connection, facts.id, asked)
        rows = await _decoded(standing)
        hours = answer(ledger, contexts, cut, known_below=moment.hour * 60)
        return _together(add_up([rows, hours]), answer(rest, contexts, cut), histograms), moment.us

    def _span(self, grain_s: int, from_us: int | None) -> Cut:
        """From a moment on. Sums of hours and of days are the same; minutes are there for two days."""
        low = _ceil(from_us, MINUTE)
        if grain_s != MINUTES:
            return Cut(HOURS, low)
        floor = minute_floor(self._clock.now_us())
        return Cut(MINUTES, floor if low is None else max(low, floor))

    async def _fresh_totals(self, connection: object, found: Totals, low: int | None, high: int | None) -> list[Rows]:
        """Unfolded deltas as rows by (model, version)."""
        bodies: dict[int, list[bytes]] = {}
        for model_no, body in zip(found.delta_models or (), found.deltas or (), strict=True):
            bodies.setdefault(model_no, []).append(body)
        rows = []
        for model_no, mine in bodies.items():
            ledger = merge([unpack(body) for body in mine])
            contexts = await self._expansions.of(connection, model_no, ledger.cells["context"])
            for version_no in sorted({contexts[context][0] for context in np.unique(ledger.cells["context"]).tolist()}):
                cut = Cut(HOURS, low, high, version_no)
                part = answer(ledger, contexts, cut)
                keys = tuple(np.full(len(part), number, np.int64) for number in (model_no, version_no))
                rows.append(Rows(keys, part.sparse))
        return rows

    async def _segment_no(self, facts: ModelFacts, segment: str | None) -> int:
        if segment is None:
            return EVERYTHING
        number = self._segments.get((facts.id, segment))
        if number is None:
            found = await self.segments(facts.id)
            self._segments.update({(facts.id, f"{key}:{value}"): number for number, key, value in found})
            number = self._segments.get((facts.id, segment))
        if number is None:
            known = [f"{key}:{value}" for _, key, value in found[:KNOWN_SEGMENTS]]
            raise UnknownSegment(f"the model has no segment {segment!r}", known=known)
        return number


async def _decoded(standing: Standing) -> Rows:
    size = len(standing.cores or b"") + 40 * sum(len(body or b"") for body in standing.hists or ())
    return await asyncio.to_thread(standing.rows) if size > OFF_LOOP_BYTES else standing.rows()


def _unfolded(standing: Standing) -> Ledger:
    return merge([unpack(body) for body in standing.deltas or ()])


def _together(folded: Rows, fresh: Rows, histograms: bool) -> Rows:
    """The sum by bucket, without buckets that cancelled to nothing."""
    if not histograms:
        fresh = Rows(fresh.keys, core_only(fresh.sparse))
    rows = add_up([folded, fresh])
    cells = rows.sparse.cell
    filled = cells[np.flatnonzero(np.diff(cells, prepend=np.uint32(len(rows))))] if cells.size else cells
    if len(filled) == len(rows):
        return rows
    cell = np.searchsorted(filled, rows.sparse.cell).astype(np.uint32)
    return Rows(tuple(column[filled] for column in rows.keys), Sparse(cell, rows.sparse.code, rows.sparse.amount))


def _shares(
    models: Sequence[ModelFacts], found: Totals, fresh: list[Rows], by_version: bool
) -> dict[tuple[int, int | None], Share]:
    rows = add_up([found.rows(), *fresh])
    model, version = rows.keys
    if not by_version:
        rows = add_up([Rows((model, np.full_like(version, -1)), rows.sparse)])
    shapes: dict[Shape, list[int]] = {}
    shape_of = {facts.id: facts.shape for facts in models}
    for place, model_no in enumerate(rows.keys[0].tolist()):
        shapes.setdefault(shape_of[model_no], []).append(place)
    shares: dict[tuple[int, int | None], Share] = {}
    for shape, places in shapes.items():
        tally = Tally.of(shape, len(places), _picked(rows.sparse, len(rows), places))
        for point, place in enumerate(places):
            model_no, version_no = (int(column[place]) for column in rows.keys)
            shares[model_no, version_no if by_version else None] = Share(tally, point)
    return shares


def _points(shape: Shape, standing: Standing, fresh: list[Rows]) -> dict[int, Share]:
    rows = add_up([standing.rows(), *fresh])
    tally = Tally.of(shape, len(rows), rows.sparse)
    return {number: Share(tally, point) for point, number in enumerate(rows.keys[0].tolist()) if tally.n[point]}


def _picked(sparse: Sparse, cells: int, places: list[int]) -> Sparse:
    """The entries of some cells, ascending, numbered anew."""
    target = np.full(cells, -1, np.int64)
    target[places] = np.arange(len(places))
    moved = target[sparse.cell]
    kept = moved >= 0
    return Sparse(moved[kept].astype(np.uint32), sparse.code[kept], sparse.amount[kept])


def _delays(parts: Sequence[Series]) -> Delays:
    moment = min(part.as_of_us for part in parts)
    histogram = np.zeros(DELAY_BINS, np.int64)
    for part in parts:
        if len(part.start_us):
            histogram += part.tally.delays.sum(axis=0)
    ages = [moment - part.start_us - part.grain_s * 500_000 for part in parts]
    waiting = [part.tally.n - part.tally.labelled for part in parts]
    return Delays(histogram, np.maximum(np.concatenate(ages), 0), np.concatenate(waiting), moment)


def _ceil(us: int | None, unit: int) -> int | None:
    return None if us is None else -(-us // unit)
