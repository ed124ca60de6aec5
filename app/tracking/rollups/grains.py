"""From what writers count (contexts, minutes) to what readers ask for (versions, segments, grains).

Rows of the rollup and of the triangle are `Rows`: keys as int64 columns and one sparse vector each. Cohorts are bucket
starts in minutes since the epoch; arrival is in hours since the epoch, in two tiers (hours; days, given by their first
hour), so that a moment is reached by at most a few days' hours after whole days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.clock import HOUR
from app.stats.sparse import Sparse, core_only, regroup
from app.tracking.ledger import Ledger, distinct

TOTAL, MINUTES, HOURS, DAYS = 0, 60, 3600, 86_400  # grains, in seconds; TOTAL is the sum of all cohorts
GRAINS = (MINUTES, HOURS, DAYS)
EVERYTHING = 0  # the segment that every prediction is in
MINUTE_GRAIN_LIVES_US = 48 * HOUR
DAY_OF_HOURS = 24
_INT4 = np.iinfo(np.int32)

Column = NDArray[np.int64]
Contexts = Mapping[int, tuple[int, tuple[int, ...]]]  # context -> (version_no, segment_nos)

ROLLUP_KEY = ("version_no", "segment_no", "grain", "cohort")
TRIANGLE_KEY = (*ROLLUP_KEY, "tier", "known")


@dataclass(frozen=True, slots=True)
class Rows:
    """Vectors by key, each key once: row i has `keys[...][i]` and the entries with `sparse.cell == i`."""

    keys: tuple[Column, ...]
    sparse: Sparse

    def __len__(self) -> int:
        return len(self.keys[0])


NOTHING = Rows((np.empty(0, np.int64),), Sparse.empty())


def minute_floor(now_us: int) -> int:
    """First cohort minute (a whole hour) that the minute grain holds; what is older is neither written nor read."""
    return (now_us - MINUTE_GRAIN_LIVES_US) // HOUR * 60


def expand(ledger: Ledger, contexts: Contexts) -> Rows:
    """Keys (version, segment, cohort minute, known minute): each cell once in `EVERYTHING` and once per segment."""
    cells = ledger.cells
    known, place = np.unique(cells["context"], return_inverse=True)
    targets = [(contexts[int(context)][0], (EVERYTHING, *contexts[int(context)][1])) for context in known]
    counts = np.array([len(segments) for _, segments in targets], np.int64)[place] if len(cells) else np.empty(0, int)
    source = np.repeat(np.arange(len(cells)), counts)
    step = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = max((len(segments) for _, segments in targets), default=1)
    table = np.zeros((len(known), width), np.int64)
    for row, (_, segments) in enumerate(targets):
        table[row, : len(segments)] = segments
    versions = np.array([version for version, _ in targets], np.int64)
    columns = (
        versions[place[source]],
        table[place[source], step],
        cells["cohort"][source].astype(np.int64),
        cells["known"][source].astype(np.int64),
    )
    return group(columns, _repeat(ledger.sparse, source, len(cells)))


def group(columns: tuple[Column, ...], sparse: Sparse) -> Rows:
    """Rows under new keys (one per cell of `sparse`, repeated or not), summed where they meet."""
    first, place = distinct(columns)
    if len(first) == len(place) and (place[1:] > place[:-1]).all():
        return Rows(columns, sparse)  # nothing meets and all is in order
    return Rows(tuple(column[first] for column in columns), regroup(sparse, place))


def to_grain(rows: Rows, grain_s: int) -> Rows:
    """Rows (version, segment, cohort, known …) with the cohort cut to the start of its bucket."""
    version, segment, cohort, *known = rows.keys
    minutes = grain_s // 60
    return group((version, segment, cohort // minutes * minutes, *known), rows.sparse)


def rollups(ledger: Ledger, contexts: Contexts, now_us: int) -> tuple[Rows, Rows]:
    """What a ledger adds to the rollup (`ROLLUP_KEY`) and to the triangle (`TRIANGLE_KEY`)."""
    if not len(ledger):
        empty = np.empty(0, np.int64)
        return Rows((empty,) * 4, Sparse.empty()), Rows((empty,) * 6, Sparse.empty())
    by_minute = expand(ledger, contexts)
    version, segment, cohort, known = by_minute.keys
    by_minute = group((version, segment, cohort, known // 60), by_minute.sparse)
    by_hour = to_grain(by_minute, HOURS)
    by_day = to_grain(by_hour, DAYS)
    levels = {MINUTES: _recent(by_minute, minute_floor(now_us)), HOURS: by_hour, DAYS: by_day}
    now = [_rollup(rows, grain) for grain, rows in levels.items()]
    version, segment, *_ = by_day.keys
    none = np.zeros_like(version)
    now.append(group((version, segment, none + TOTAL, none), by_day.sparse))
    then = [_triangle(rows, grain, tier) for grain, rows in levels.items() for tier in (HOURS, DAYS)]
    return stack(now), stack(then)


@dataclass(frozen=True, slots=True)
class Cut:
    """Which cells a question is about: bucket starts in [from_minute, to_minute); None = no bound, all versions."""

    grain_s: int
    from_minute: int | None = None
    to_minute: int | None = None
    version_no: int | None = None
    segment_no: int = EVERYTHING

    def bounds(self) -> tuple[int, int]:
        """Both ends as int4."""
        low = _INT4.min if self.from_minute is None else self.from_minute
        high = _INT4.max if self.to_minute is None else self.to_minute
        return min(max(low, _INT4.min), _INT4.max), min(max(high, _INT4.min), _INT4.max)


def answer(ledger: Ledger, contexts: Contexts, cut: Cut, *, known_below: int | None = None) -> Rows:
    """What a ledger adds to the buckets of a cut (key: bucket start), as far as it arrived before a minute."""
    if not len(ledger):
        return NOTHING
    minutes = cut.grain_s // 60
    bucket = ledger.cells["cohort"].astype(np.int64)
    bucket = bucket // minutes * minutes if minutes else np.zeros_like(bucket)
    low, high = cut.bounds()
    wanted = (bucket >= low) & (bucket < high) & _meant(ledger, contexts, cut)
    if known_below is not None:
        wanted &= ledger.cells["known"] < known_below
    return select(Rows((bucket,), ledger.sparse), wanted)


def since(ledger: Ledger, minute: int) -> Ledger:
    """The cells of cohorts from a minute on."""
    kept = ledger.cells["cohort"] >= minute
    if kept.all():
        return ledger
    target = np.where(kept, np.cumsum(kept) - 1, -1)
    return Ledger(ledger.cells[kept], regroup(ledger.sparse, target))


def known_between(ledger: Ledger, minute: int, end: int) -> Ledger:
    """The cells of what became known in [minute, end)."""
    known = ledger.cells["known"]
    kept = (known >= minute) & (known < end)
    return Ledger(ledger.cells[kept], regroup(ledger.sparse, np.where(kept, np.cumsum(kept) - 1, -1)))


def select(rows: Rows, wanted: NDArray[np.bool_]) -> Rows:
    """The wanted rows, grouped by key."""
    kept = np.flatnonzero(wanted)
    target = np.full(len(rows), -1, np.intp)
    target[kept] = np.arange(len(kept))
    return group(tuple(column[kept] for column in rows.keys), regroup(rows.sparse, target))


def _meant(ledger: Ledger, contexts: Contexts, cut: Cut) -> NDArray[np.bool_]:
    known, place = np.unique(ledger.cells["context"], return_inverse=True)
    found = [contexts[context] for context in known.tolist()]
    meant = [
        (cut.version_no is None or version == cut.version_no)
        and (cut.segment_no == EVERYTHING or cut.segment_no in segments)
        for version, segments in found
    ]
    return np.array(meant, np.bool_)[place]


def stack(parts: Sequence[Rows]) -> Rows:
    """Rows of several tables as one; no two of them share a key."""
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else parts[0]
    parts = filled
    columns = tuple(np.concatenate(column) for column in zip(*(part.keys for part in parts), strict=True))
    firsts = np.cumsum([0, *(len(part) for part in parts)])
    shifted = [part.sparse.cell + np.uint32(first) for part, first in zip(parts, firsts[:-1].tolist(), strict=True)]
    sparse = [part.sparse for part in parts]
    return Rows(
        columns,
        Sparse(
            np.concatenate(shifted),
            np.concatenate([one.code for one in sparse]),
            np.concatenate([one.amount for one in sparse]),
        ),
    )


def add_up(parts: Sequence[Rows]) -> Rows:
    """Rows of several tables as one, summed where keys meet; in order of the keys."""
    stacked = stack(parts)
    return group(stacked.keys, stacked.sparse)


def _recent(rows: Rows, floor: int) -> Rows:
    """The minute grain: counts only, and only of the last days."""
    return select(Rows(rows.keys, core_only(rows.sparse)), rows.keys[2] >= floor)


def _rollup(rows: Rows, grain: int) -> Rows:
    version, segment, cohort, _ = rows.keys
    return group((version, segment, np.full_like(version, grain), cohort), rows.sparse)


def _triangle(rows: Rows, grain: int, tier: int) -> Rows:
    version, segment, cohort, known = rows.keys
    arrived = known if tier == HOURS else known // DAY_OF_HOURS * DAY_OF_HOURS
    return group(
        (version, segment, np.full_like(version, grain), cohort, np.full_like(version, tier), arrived), rows.sparse
    )


def _repeat(sparse: Sparse, source: NDArray[np.intp], cells: int) -> Sparse:
    """Cell i of the result has the entries of cell `source[i]`."""
    edges = np.searchsorted(sparse.cell, np.arange(cells + 1))
    sizes = np.diff(edges)[source]
    ends = np.cumsum(sizes)
    entry = np.arange(int(sizes.sum())) - np.repeat(ends - sizes, sizes) + np.repeat(edges[:-1][source], sizes)
    cell = np.repeat(np.arange(len(source), dtype=np.uint32), sizes)
    return Sparse(cell, sparse.code[entry], sparse.amount[entry])
