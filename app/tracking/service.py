"""Tracking's use cases. Ingest answers after the commit; whatever arrives meanwhile shares the next transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import structlog

from app.auth.errors import Forbidden
from app.auth.limits import PrincipalLimits
from app.auth.principal import Principal
from app.core import telemetry
from app.core.clock import Clock, to_datetime
from app.core.exchange import Exchange
from app.core.settings import TrackingSettings
from app.db import audit
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.models.errors import ModelArchived
from app.models.facts import ModelFacts
from app.tracking.batch import LabelBatch, PredictionBatch
from app.tracking.checked import CheckedLabels, CheckedPredictions
from app.tracking.decoding.intake import LABELS, PREDICTIONS, Intake
from app.tracking.decoding.together import Unread, glance
from app.tracking.lookup import look_up
from app.tracking.schemas import LabelsStored, PredictionSeen, PredictionsStored, SegmentKey, Segments
from app.tracking.small import SmallRequests
from app.tracking.storing.contexts import Contexts
from app.tracking.storing.group import Backlog
from app.tracking.storing.labels import LabelStore
from app.tracking.storing.lanes import Lanes
from app.tracking.storing.merging import Predictions
from app.tracking.storing.predictions import PredictionStore

log = structlog.get_logger()

WAITING_ROWS = 200_000  # of all groups, about 100 MB; four of the largest requests
TRANSACTIONS = 6  # at once; the other connections of the pool are for those who read
IMPORT_SCOPE = "data:import"

Labelled = tuple[ModelFacts, CheckedLabels]

Batch = TypeVar("Batch", PredictionBatch, LabelBatch)
Checked = TypeVar("Checked", CheckedPredictions, CheckedLabels)
Stored = TypeVar("Stored", PredictionsStored, LabelsStored)


class TrackingService:
    """Predictions and labels in, single ones out; one per process. `stored` is called after every commit."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        catalogue: Catalogue,
        limits: PrincipalLimits,
        settings: TrackingSettings,
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue
        self._limits = limits
        self._max_rows = settings.max_batch_rows
        self._contexts = Contexts(database, settings.values_per_segment)
        backlog, transactions = Backlog(WAITING_ROWS), asyncio.Semaphore(TRANSACTIONS)
        predictions = PredictionStore(database, clock, self._contexts)
        labels = LabelStore(database, clock)
        self._small = SmallRequests(catalogue, self._contexts, settings.max_batch_rows)
        self._predictions: Lanes[Predictions | Unread, Predictions, PredictionsStored] = Lanes(
            self._small.ready, predictions.store, backlog, transactions, stored, settings.group_rows
        )
        self._labels: Lanes[CheckedLabels, CheckedLabels, LabelsStored] = Lanes(
            _as_they_are, labels.store, backlog, transactions, stored, settings.group_rows
        )

    async def store_predictions(
        self,
        model_id: str,
        body: bytes,
        content_type: str,
        *,
        imported: bool = False,
        principal: Principal | None = None,
        exchange: Exchange | None = None,
    ) -> PredictionsStored:
        """Stores a request's predictions, durable when this returns. `principal` None: the process itself."""
        answer = None if imported else await self._take_in_small(model_id, body, content_type, principal, exchange)
        if answer is None:
            answer = await self._take_in(
                PREDICTIONS, self._submit_predictions, model_id, body, content_type, imported, principal, exchange
            )
        _count(telemetry.PREDICTIONS, model_id, answer)
        return answer

    async def store_labels(
        self,
        model_id: str,
        body: bytes,
        content_type: str,
        *,
        imported: bool = False,
        principal: Principal | None = None,
        exchange: Exchange | None = None,
    ) -> LabelsStored:
        """As `store_predictions`."""
        answer = await self._take_in(
            LABELS, self._labels.submit, model_id, body, content_type, imported, principal, exchange
        )
        _count(telemetry.LABELS, model_id, answer, expired=answer.expired)
        return answer

    async def prediction(self, model_id: str, prediction_id: str) -> PredictionSeen:
        """One prediction with its features and labels. Raises `PredictionNotFound`."""
        return await look_up(self._database, await self._catalogue.facts(model_id), prediction_id)

    async def segments(self, model_id: str) -> Segments:
        """The segment keys of a model and their values."""
        found = await self._contexts.segments((await self._catalogue.facts(model_id)).id)
        return Segments(model_id, [SegmentKey(key, values) for key, values in sorted(found.items())])

    async def drain(self) -> None:
        """Returns when all that was taken in has been answered."""
        await self._predictions.drain()
        await self._labels.drain()

    async def _take_in(
        self,
        intake: Intake[Batch, Checked],
        submit: Callable[[ModelFacts, Checked], Awaitable[Stored]],
        model_id: str,
        body: bytes,
        content_type: str,
        imported: bool,
        principal: Principal | None,
        exchange: Exchange | None,
    ) -> Stored:
        facts = await self._open(model_id)
        now_us = self._clock.now_us()
        batch = await intake.read(
            body, content_type, facts, now_us=now_us, max_rows=self._max_rows, imported=imported
        )  # fmt: skip
        imports = batch.known_at is not None
        if imports:
            _demand_import(principal)
        if principal is not None:
            await self._limits.rows(principal, len(batch), exchange)
        facts, checked = await intake.admit(batch, facts, self._catalogue, now_us=now_us)
        if imports:
            await self._announce_import(facts, len(batch))
        answer = await submit(facts, checked)
        if imports:
            by = None if principal is None else principal.subject
            log.info("import", model_id=facts.model_id, rows=len(batch), accepted=answer.accepted, by=by)
        return answer

    async def _take_in_small(
        self, model_id: str, body: bytes, content_type: str, principal: Principal | None, exchange: Exchange | None
    ) -> PredictionsStored | None:
        """None where the request is not a small one: it has to be read by itself."""
        facts = await self._open(model_id)
        unread = glance(body, content_type, facts, now_us=self._clock.now_us())
        if unread is None or len(unread) > self._max_rows:
            return None
        if principal is not None:
            await self._limits.rows(principal, len(unread), exchange)
        return await self._predictions.submit(facts, unread)

    async def _submit_predictions(self, facts: ModelFacts, checked: CheckedPredictions) -> PredictionsStored:
        await self._small.resolve(facts, checked)
        return await self._predictions.submit(facts, checked)

    async def _announce_import(self, facts: ModelFacts, rows: int) -> None:
        """The audit has it before its rows are here, and only where they are taken in."""
        async with self._database.write() as session:
            now = to_datetime(self._clock.now_us())
            await audit.record(session, now, "data.import", f"model:{facts.model_id}", rows=rows)

    async def _open(self, model_id: str) -> ModelFacts:
        facts = await self._catalogue.facts(model_id)
        if facts.archived:
            raise ModelArchived(f"{model_id} is archived: nothing new is taken in", model_id=model_id)
        return facts


def _demand_import(principal: Principal | None) -> None:
    """It changes past answers, so it needs a right of its own."""
    if principal is not None and not principal.may(IMPORT_SCOPE):
        raise Forbidden(f"an import needs the scope {IMPORT_SCOPE}", scope=IMPORT_SCOPE)


async def _as_they_are(items: Sequence[Labelled]) -> list[Labelled | Exception]:
    return [*items]


def _count(counter: Any, model_id: str, answer: PredictionsStored | LabelsStored, *, expired: int = 0) -> None:
    label = telemetry.model_label(model_id)
    for outcome, rows in (
        ("accepted", answer.accepted),
        ("duplicate", answer.duplicates),
        ("conflict", len(answer.conflicts)),
        ("expired", expired),
    ):
        if rows:
            _child(counter, label, outcome).inc(rows)


@lru_cache(maxsize=4096)  # looking a child up costs more than adding to it
def _child(counter: Any, label: str, outcome: str) -> Any:
    return counter.labels(label, outcome)
