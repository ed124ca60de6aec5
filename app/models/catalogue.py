"""The facts of every model, kept in the process: what the hot path looks up at each request.

Another process's change arrives by NOTIFY; should that fail, a copy is believed for a second at most. A change made
here is seen at once.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.db.engine import Database, ReadSession
from app.db.listening import listen
from app.db.tables.models import ModelTable, VersionTable
from app.models.errors import ModelNotFound, TooManyClasses
from app.models.facts import ModelFacts
from app.models.moves import State, latest
from app.models.reference import Reference, ReferenceFeature
from app.models.repository import CHANNEL, ModelRepository, revision
from app.stats.tally import Task

logger = logging.getLogger(__name__)

STALE_S = 1.0  # what other processes may lag behind; then a copy's revision is looked at, and what differs is loaded
MAX_CLASSES = 1000  # a confusion matrix of 1000 × 1000 is the most that the code space is meant for
DEFAULT_RETENTION_DAYS = 730
CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class _Kept:
    facts: ModelFacts
    loaded_at: float  # of the event loop's clock


class Catalogue:
    """One per process. `retention_days` holds for models whose setup names none."""

    def __init__(self, database: Database, retention_days: int = DEFAULT_RETENTION_DAYS) -> None:
        self._database = database
        self.retention_days = retention_days
        self._kept: dict[str, _Kept] = {}
        self._loads: dict[str, asyncio.Task[ModelFacts]] = {}

    async def facts(self, model_id: str, *, at_least: int | None = None) -> ModelFacts:
        """Raises `ModelNotFound`. `at_least`: the revision that the caller has seen; older ones won't do."""
        kept = self._kept.get(model_id)
        if at_least is not None:
            if kept is not None and kept.facts.revision >= at_least:
                return kept.facts
            self.forget(model_id)  # and a load under way, which may have read what was before
            kept = None
        elif kept is not None and asyncio.get_running_loop().time() - kept.loaded_at < STALE_S:
            return kept.facts
        load = self._loads.get(model_id)
        if load is None:  # all who ask meanwhile wait for the same query
            before = None if kept is None else kept.facts
            load = self._loads[model_id] = asyncio.create_task(self._load(model_id, before))
            load.add_done_callback(lambda done: self._loaded(model_id, done))
        return await asyncio.shield(load)

    async def fresh(self, model_id: str) -> ModelFacts:
        """As it stands in the database now, at the price of a query. Raises `ModelNotFound`."""
        self.forget(model_id)
        return await self.facts(model_id)

    async def all(self) -> list[ModelFacts]:
        """Every model, also the archived ones, in the order of their numbers; always read anew."""
        async with self._database.read() as session:
            return await self._facts_of(session, await ModelRepository(session).everything())

    async def reference(self, model_no: int) -> Reference | None:
        """The reference that setup gave for the features; None where the first rows are to make it."""
        async with self._database.read() as session:
            model = await ModelRepository(session).numbered(model_no)
        if model.reference is None:
            return None
        features = {
            name: ReferenceFeature(tuple(feature["bins"]), tuple(feature["counts"]))
            for name, feature in model.reference.items()
        }
        return Reference(features, model.reference_revision)

    async def add_classes(self, model_no: int, labels: Sequence[str]) -> ModelFacts:
        """Appends the labels that are not known yet, so that no class ever changes its index."""
        async with self._database.write() as session:
            repository = ModelRepository(session)
            model = await repository.lock_no(model_no)
            fresh = [label for label in dict.fromkeys(labels) if label not in model.classes]
            if fresh:
                _check_room(model, fresh)
                model.classes = [*model.classes, *fresh]
                await repository.announce(model)
        return await self.facts(model.model_id, at_least=model.revision)

    def forget(self, model_id: str) -> None:
        """Drops what is kept of a model; a load under way no longer counts."""
        self._kept.pop(model_id, None)
        self._loads.pop(model_id, None)

    async def run(self, stop: asyncio.Event) -> None:
        """Listens for changes made by other processes until told to stop."""
        await listen(self._database, CHANNEL, self.forget, stop, begun=self._kept.clear, away=_away)

    def _loaded(self, model_id: str, done: asyncio.Task[ModelFacts]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if self._loads.get(model_id) is not done:
            return  # forgotten meanwhile: what it read may be old
        del self._loads[model_id]
        if not failed:
            self._kept[model_id] = _Kept(done.result(), asyncio.get_running_loop().time())

    async def _load(self, model_id: str, kept: ModelFacts | None) -> ModelFacts:
        """`kept`, where nothing has changed since: its revision is a tenth of the price of its facts."""
        if kept is not None:
            async with self._database.connection() as connection:
                if await revision(connection, kept.id) == kept.revision:
                    return kept
        async with self._database.read() as session:
            model = await ModelRepository(session).find(model_id)
            if model is None:
                raise ModelNotFound.of(model_id)
            [facts] = await self._facts_of(session, [model])
        return facts

    async def _facts_of(self, session: ReadSession, models: Sequence[ModelTable]) -> list[ModelFacts]:
        repository = ModelRepository(session)
        numbers = [model.id for model in models]
        versions, aliases = await repository.versions(numbers), await repository.aliases(numbers)
        thresholds = await repository.thresholds(numbers)
        return [
            facts_of(model, versions[model.id], aliases[model.id].get(CHAMPION), thresholds, self.retention_days)
            for model in models
        ]


def facts_of(
    model: ModelTable,
    versions: Sequence[VersionTable],
    champion: int | None,
    thresholds: Mapping[int, float],
    retention_days: int,
) -> ModelFacts:
    """Rows as the frozen value; `versions` in order of registration, `thresholds` by version_no."""
    labels = {row.id: row.version for row in versions}
    return ModelFacts(
        id=model.id,
        model_id=model.model_id,
        task=Task(model.task),
        classes=tuple(model.classes),
        positive=model.positive,
        threshold=model.threshold,
        allow_new_classes=model.allow_new_classes,
        schema=model.feature_schema,
        versions={row.version: row.id for row in versions},
        default_version=(
            latest({row.version: State(row.state) for row in versions}) if champion is None else labels[champion]
        ),
        retention_days=retention_days if model.retention_days is None else model.retention_days,
        revision=model.revision,
        archived=model.archived_at is not None,
        thresholds={row.version: thresholds[row.id] for row in versions if row.id in thresholds},
    )


def _check_room(model: ModelTable, fresh: Sequence[str]) -> None:
    if len(model.classes) + len(fresh) > MAX_CLASSES:
        raise TooManyClasses(
            f"{model.model_id} has {len(model.classes)} classes; {len(fresh)} more would pass {MAX_CLASSES}",
            model_id=model.model_id,
            limit=MAX_CLASSES,
        )


def _away() -> None:
    logger.info("no database to listen to; facts of models may be a second old")
