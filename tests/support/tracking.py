"""A tracking service on a database of the test, and short ways to send rows and look at what is stored."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from app.auth.limits import PrincipalLimits
from app.core.clock import Clock
from app.core.limits import Limits
from app.core.settings import LimitsSettings, TrackingSettings
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.stats.tally import Tally
from app.tracking.decoding.decode import JSON
from app.tracking.ledger import Ledger, merge, unpack
from app.tracking.repository import raw
from app.tracking.rollups.recount import count_blocks, count_labels
from app.tracking.schemas import LabelsStored, PredictionsStored
from app.tracking.service import TrackingService

Row = dict[str, Any]


def tracking(database: Database, clock: Clock, **settings: int) -> TrackingService:
    limits = PrincipalLimits(Limits(enabled=False, redis_url=None), LimitsSettings())
    return TrackingService(database, clock, Catalogue(database), limits, TrackingSettings(**settings))


async def send(service: TrackingService, *rows: Row, model: str = "m1", **request: Any) -> PredictionsStored:
    body = msgspec.json.encode({"predictions": rows, **request})
    return await service.store_predictions(model, body, JSON)


async def label(service: TrackingService, *rows: Row, model: str = "m1", **request: Any) -> LabelsStored:
    body = msgspec.json.encode({"labels": rows, **request})
    return await service.store_labels(model, body, JSON)


async def counted(database: Database, facts: ModelFacts) -> Ledger:
    """The sum of all deltas of a model."""
    async with database.transaction() as connection:
        rows = await connection.fetch("select body from delta where model_no = $1", facts.id)
    return merge([unpack(row["body"]) for row in rows])


async def recounted(database: Database, facts: ModelFacts) -> Ledger:
    """The same from the raw rows."""
    async with database.transaction() as connection:
        blocks = [block async for part in raw.blocks_of(connection, facts.id, 0, 1 << 47) for block in part]
        labels = [part async for part in raw.labels_of(connection, facts.id, 0, 1 << 46)]
    return merge([count_blocks(facts.shape, blocks), *(count_labels(facts.shape, part) for part in labels)])


def entries(ledger: Ledger) -> Mapping[tuple[int, int, int, int], int]:
    """(context, cohort minute, arrival minute, code) -> amount."""
    cells = ledger.cells[ledger.sparse.cell]
    columns = (cells["context"], cells["cohort"], cells["known"], ledger.sparse.code, ledger.sparse.amount)
    return {tuple(row[:4]): row[4] for row in zip(*(column.tolist() for column in columns), strict=True)}


async def agree(database: Database, facts: ModelFacts) -> None:
    """What the deltas add up to is what the raw rows count, bit for bit."""
    assert entries(await counted(database, facts)) == entries(await recounted(database, facts))


async def totals(database: Database, facts: ModelFacts, until_us: int | None = None) -> Tally:
    """All deltas as one point; `until_us`: as it was known in that minute."""
    ledger = await counted(database, facts)
    kept = np.ones(len(ledger.sparse), np.bool_)
    if until_us is not None:
        kept = ledger.cells["known"][ledger.sparse.cell] <= until_us // 60_000_000
    sparse = ledger.sparse
    cut = type(sparse)(sparse.cell[kept], sparse.code[kept], sparse.amount[kept])
    return Tally.of(facts.shape, len(ledger.cells) or 1, cut).total()


async def rows_of(database: Database, table: str) -> int:
    async with database.transaction() as connection:
        return int(await connection.fetchval(f"select count(*) from {table}"))
