"""The registry's use cases; each is one transaction."""

from app.auth.principal import Principal
from app.core.clock import Clock, to_datetime
from app.db import paging
from app.db.engine import Database, ReadSession
from app.db.tables.models import ModelTable, VersionTable
from app.models import views
from app.models.catalogue import Catalogue
from app.models.change import Change
from app.models.errors import ModelNotFound, VersionConflict, VersionNotFound
from app.models.repository import ModelRepository
from app.models.schemas import (
    AliasAnswer,
    ModelAnswer,
    ModelsAnswer,
    MonitorsAnswer,
    VersionAnswer,
    VersionRequest,
    VersionsAnswer,
)


class ModelService:
    """Models, versions, aliases, and the monitors that setup defined."""

    def __init__(self, database: Database, clock: Clock, catalogue: Catalogue) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue

    async def page(self, *, cursor: str | None, limit: int, archived: bool, principal: Principal) -> ModelsAnswer:
        """The models that the caller may see, by id."""
        async with self._database.read() as session:
            repository = ModelRepository(session)
            rows = await repository.page(
                after=paging.after(cursor), limit=limit + 1, archived=archived, only=principal.models
            )
            page = paging.cut(rows, limit, lambda row: row.model_id)
            numbers = [row.id for row in page.rows]
            versions, aliases = await repository.versions(numbers), await repository.aliases(numbers)
        answers = [views.model_answer(row, versions[row.id], aliases[row.id]) for row in page.rows]
        return ModelsAnswer(models=answers, next_cursor=page.next_cursor)

    async def get(self, model_id: str) -> ModelAnswer:
        async with self._database.read() as session:
            model, versions, aliases = await _known(session, model_id)
        return views.model_answer(model, versions, aliases)

    async def archive(self, model_id: str, *, principal: Principal) -> ModelAnswer:
        """Takes nothing away; raises `ModelInUse` while a version is in staging or production."""
        async with self._database.write() as session:
            now = to_datetime(self._clock.now_us())
            change = await Change.of(session, model_id, principal=principal, at=now, archived=True)
            await change.archive()
            await change.record("model.archive")
        self._catalogue.forget(model_id)
        return views.model_answer(change.model, list(change.versions.values()), change.aliases)

    async def versions(self, model_id: str, *, cursor: str | None, limit: int) -> VersionsAnswer:
        """In order of registration."""
        last = paging.number_after(cursor)
        async with self._database.read() as session:
            model, versions, aliases = await _known(session, model_id)
        page = paging.cut([row for row in versions if row.id > last][: limit + 1], limit, lambda row: str(row.id))
        return VersionsAnswer(
            versions=[views.version_answer(row, aliases, archived=_archived(model)) for row in page.rows],
            next_cursor=page.next_cursor,
        )

    async def version(self, model_id: str, version: str) -> VersionAnswer:
        async with self._database.read() as session:
            model, versions, aliases = await _known(session, model_id)
        for row in versions:
            if row.version == version:
                return views.version_answer(row, aliases, archived=_archived(model))
        raise VersionNotFound(f"{model_id} has no version {version}", version=version)

    async def register_version(
        self, model_id: str, request: VersionRequest, *, principal: Principal
    ) -> tuple[VersionAnswer, bool]:
        """The version, and whether it is new; stated again it stays as it is. Raises `VersionConflict`."""
        async with self._database.write() as session:
            change = await Change.of(session, model_id, principal=principal, at=to_datetime(self._clock.now_us()))
            row = change.versions.get(request.version)
            created = row is None
            if row is None:
                row = await change.register(**request.model_dump())
            elif places := views.differences(row, **request.model_dump(exclude={"version"})):
                raise VersionConflict(f"version {row.version} exists with other content", places=places)
            await change.record("version.register", version=row.version)
        self._catalogue.forget(model_id)
        return views.version_answer(row, change.aliases, archived=False), created

    async def point(self, model_id: str, alias: str, version: str, *, principal: Principal) -> AliasAnswer:
        async with self._database.write() as session:
            change = await Change.of(session, model_id, principal=principal, at=to_datetime(self._clock.now_us()))
            await change.point(alias, version)
            await change.record("alias.point", alias=alias, version=version)
        return self._aliases(change)

    async def unpoint(self, model_id: str, alias: str, *, principal: Principal) -> AliasAnswer:
        async with self._database.write() as session:
            change = await Change.of(session, model_id, principal=principal, at=to_datetime(self._clock.now_us()))
            await change.unpoint(alias)
            await change.record("alias.remove", alias=alias)
        return self._aliases(change)

    async def monitors(self, model_id: str, *, cursor: str | None, limit: int) -> MonitorsAnswer:
        last = paging.number_after(cursor)
        async with self._database.read() as session:
            _, versions, _ = await _known(session, model_id)
            rows = await ModelRepository(session).monitors([row.id for row in versions], after=last, limit=limit + 1)
        page = paging.cut(rows, limit, lambda row: str(row.id))
        return MonitorsAnswer(monitors=views.monitor_answers(page.rows, versions), next_cursor=page.next_cursor)

    def _aliases(self, change: Change) -> AliasAnswer:
        self._catalogue.forget(change.model.model_id)
        aliases = views.alias_labels(list(change.versions.values()), change.aliases)
        return AliasAnswer(model_id=change.model.model_id, aliases=aliases)


async def _known(session: ReadSession, model_id: str) -> tuple[ModelTable, list[VersionTable], dict[str, int]]:
    """The model with its versions (in order of registration) and aliases; raises `ModelNotFound`."""
    repository = ModelRepository(session)
    model = await repository.find(model_id)
    if model is None:
        raise ModelNotFound.of(model_id)
    versions, aliases = await repository.versions([model.id]), await repository.aliases([model.id])
    return model, versions[model.id], aliases[model.id]


def _archived(model: ModelTable) -> bool:
    return model.archived_at is not None
