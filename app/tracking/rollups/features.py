"""Histograms of features by version and hour or day, folded from blocks behind the rollups.

The reference fixes the bins: setup's, else the first 10,000 rows. A new reference starts all over. A code of the stored
vectors is `feature << 16 | code of the bin`, features numbered from 1 by name; code 0 counts predictions.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.clock import MINUTE, Clock
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.stats.sparse import Sparse, consolidate, keys, negate
from app.tracking.batch import Feature
from app.tracking.ledger import distinct
from app.tracking.repository import features as repository
from app.tracking.repository import folding, raw
from app.tracking.repository.raw import BLOCKS_AT_ONCE, StoredBlock
from app.tracking.rollups import bins
from app.tracking.rollups.bins import REFERENCE_ROWS, Bins
from app.tracking.rollups.expansions import Expansions
from app.tracking.rollups.grains import DAYS, HOURS, Contexts, Cut, Rows, add_up, group, stack

logger = logging.getLogger(__name__)

EVERY_S = 10.0  # drift is a matter of hours; this keeps unpacking blocks rare
_FEATURE_SHIFT = 16
_HOUR, _DAY = HOURS // 60, DAYS // 60  # in minutes


@dataclass(frozen=True, slots=True)
class FeatureSeries:
    """Counts on the reference's bins; `counts[name]` is (P, codes of `bins[name]`), `n` the predictions of a bucket."""

    revision: int  # of the reference; 0: made from the first rows
    bins: Mapping[str, Bins]
    start_us: NDArray[np.int64]
    n: NDArray[np.int64]
    counts: Mapping[str, NDArray[np.int64]]


class Features:
    """Folds (`fold_all`) and answers (`series`)."""

    def __init__(self, database: Database, clock: Clock, catalogue: Catalogue) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue
        self._expansions = Expansions()
        self._tried: dict[int, int] = {}  # model -> the mark at which it had too few rows for a reference

    async def run(self, stop: asyncio.Event) -> None:
        """Folds every ten seconds until told to stop."""
        while not stop.is_set():
            try:
                await self.fold_all()
            except Exception:
                logger.exception("a round over the features failed; the next one repeats it")
            waiting = asyncio.ensure_future(stop.wait())
            await asyncio.wait([waiting], timeout=EVERY_S)
            waiting.cancel()

    async def fold_all(self) -> None:
        async with self._database.connection(patient=True) as connection:
            pending = await repository.pending(connection)
        for model_no, xid in pending:
            if self._tried.get(model_no) == xid:
                continue
            try:
                more = True
                while more:
                    more = await self.fold(model_no)
            except Exception:
                logger.exception("features of model %s could not be folded", model_no)

    async def fold(self, model_no: int) -> bool:
        """Folds some blocks of a model; whether there are more."""
        stated = await self._catalogue.reference(model_no)
        async with self._database.transaction(patient=True) as connection:
            if not await folding.lock(connection, model_no, repository.LOCK):
                return False
            mark = await folding.mark(connection, model_no)
            known = await repository.reference(connection, model_no)
            if stated is not None and (known is None or known[0] != stated.revision):
                chosen = {name: bins.stated(feature) for name, feature in stated.features.items()}
                await repository.set_reference(connection, model_no, stated.revision, chosen, self._clock.now_us())
                return True
            if known is None:
                return await self._fix_reference(connection, model_no, mark.xid)
            return await self._fold(connection, model_no, known[1], mark)

    async def take_back(self, connection: object, model_no: int, blocks: Sequence[StoredBlock]) -> None:
        """Takes the rows of these blocks out of the histograms, as far as they are in; part of a transaction."""
        await folding.wait_for_lock(connection, model_no, repository.LOCK)
        mark = await folding.mark(connection, model_no)
        known = await repository.reference(connection, model_no)
        counted = [stored for stored in blocks if stored.xid < mark.features_xid]
        if known is None or not known[1] or not counted:
            return
        asked = np.concatenate([stored.block.context_id for stored in counted])
        contexts = await self._expansions.of(connection, model_no, asked)
        rows = await asyncio.to_thread(_counted, counted, known[1], contexts)
        await repository.add(connection, model_no, Rows(rows.keys, negate(rows.sparse)))

    async def series(
        self,
        model_no: int,
        *,
        grain_s: int = HOURS,
        version_no: int | None = None,
        from_us: int | None = None,
        to_us: int | None = None,
    ) -> FeatureSeries | None:
        """Buckets (3600 or 86,400 s) whose start lies in [from, to); None while there is no reference."""
        low, high = Cut(grain_s, _ceil(from_us), _ceil(to_us)).bounds()
        async with self._database.transaction(snapshot=True) as connection:
            known = await repository.reference(connection, model_no)
            if known is None:
                return None
            cohorts, sparse = await repository.histograms(
                connection, model_no, version_no=version_no, grain=grain_s, low=low, high=high
            )
        return _series(*known, cohorts, sparse)

    async def _fix_reference(self, connection: object, model_no: int, below: int) -> bool:
        """From the first rows, once there are enough."""
        if await repository.rows_below(connection, model_no, below, REFERENCE_ROWS) < REFERENCE_ROWS:
            self._tried[model_no] = below
            return False
        first: list[StoredBlock] = []
        while sum(len(stored.block) for stored in first) < REFERENCE_ROWS:
            since = first[-1].xid + 1 if first else 0
            first += await raw.blocks_since(connection, model_no, since=since, below=below)
        reached = np.cumsum([len(stored.block) for stored in first])
        enough = int(np.searchsorted(reached, REFERENCE_ROWS)) + 1
        chosen = await asyncio.to_thread(_found, first[:enough])
        await repository.set_reference(connection, model_no, 0, chosen, self._clock.now_us())
        return True

    async def _fold(self, connection: object, model_no: int, chosen: Mapping[str, Bins], mark: folding.Mark) -> bool:
        if not chosen:
            await repository.set_mark(connection, model_no, mark.xid)
            return False
        blocks = await raw.blocks_since(connection, model_no, since=mark.features_xid, below=mark.xid)
        more = len(blocks) == BLOCKS_AT_ONCE
        if more and blocks[0].xid != blocks[-1].xid:  # the last transaction may have more
            blocks = [stored for stored in blocks if stored.xid != blocks[-1].xid]
        if blocks:
            asked = np.concatenate([stored.block.context_id for stored in blocks])
            contexts = await self._expansions.of(connection, model_no, asked)
            rows = await asyncio.to_thread(_counted, blocks, chosen, contexts)
            await repository.add(connection, model_no, rows)
        await repository.set_mark(connection, model_no, blocks[-1].xid + 1 if more else mark.xid)
        return more


def _found(blocks: Sequence[StoredBlock]) -> dict[str, Bins]:
    names = sorted({name for stored in blocks for name in stored.block.features})
    return {name: bins.found([_column(stored, name) for stored in blocks]) for name in names}


def _column(stored: StoredBlock, name: str) -> Feature:
    return stored.block.features.get(name) or bins.absent(len(stored.block))


def _counted(blocks: Sequence[StoredBlock], chosen: Mapping[str, Bins], contexts: Contexts) -> Rows:
    """Rows by (version, grain, cohort)."""
    hours = add_up([_count(stored, chosen, contexts) for stored in blocks])
    version, _, cohort = hours.keys
    days = group((version, np.full_like(version, DAYS), cohort // _DAY * _DAY), hours.sparse)
    return stack([hours, days])


def _count(stored: StoredBlock, chosen: Mapping[str, Bins], contexts: Contexts) -> Rows:
    """One block by (version, hour)."""
    block = stored.block
    kept = np.ones(len(block), np.bool_) if block.blank is None else ~block.blank
    known, place = np.unique(block.context_id, return_inverse=True)
    version = np.array([contexts[context][0] for context in known.tolist()], np.int64)[place][kept]
    cohort = block.predicted_at[kept] // MINUTE // _HOUR * _HOUR
    first, cell = distinct((version, cohort))
    codes = [np.zeros(len(cell), np.int64)]
    for number, (name, one) in enumerate(sorted(chosen.items()), start=1):
        codes.append(one.codes(_column(stored, name))[kept] + (number << _FEATURE_SHIFT))
    key = np.concatenate([keys(cell.astype(np.uint32), code.astype(np.uint32)) for code in codes])
    counted = consolidate(key, np.ones(len(key), np.int64))
    return Rows((version[first], np.full(len(first), HOURS, np.int64), cohort[first]), counted)


def _series(revision: int, chosen: Mapping[str, Bins], cohorts: NDArray[np.int64], sparse: Sparse) -> FeatureSeries:
    rows = group((cohorts,), sparse)
    number, code = rows.sparse.code >> _FEATURE_SHIFT, rows.sparse.code & ((1 << _FEATURE_SHIFT) - 1)
    grids = []
    for feature, size in enumerate([1, *(one.size for _, one in sorted(chosen.items()))]):
        mine = number == feature
        grid = np.zeros((len(rows), size), np.int64)
        grid[rows.sparse.cell[mine], code[mine]] = rows.sparse.amount[mine]
        grids.append(grid)
    counts = dict(zip(sorted(chosen), grids[1:], strict=True))
    return FeatureSeries(revision, chosen, rows.keys[0] * MINUTE, grids[0][:, 0], counts)


def _ceil(us: int | None) -> int | None:
    return None if us is None else -(-us // MINUTE)
