"""All SQL of the registry. A write locks its model's row first, so changes of one model happen one after another."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.tables.models import (
    AliasTable,
    ChannelTable,
    ModelTable,
    MonitorTable,
    MoveTable,
    SetupTable,
    VersionTable,
)
from app.models.moves import State

CHANNEL = "assay_models"  # NOTIFY: the payload is the model_id whose facts changed


async def revision(connection: Any, model_no: int) -> int | None:
    """Of a model's facts, on a connection of the hot pool; None where the model is gone."""
    found: int | None = await connection.fetchval("select revision from model where id = $1", model_no)
    return found


class ModelRepository:
    """Models and what belongs to them, over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, model_id: str) -> ModelTable | None:
        found: ModelTable | None = await self._session.scalar(select(ModelTable).where(ModelTable.model_id == model_id))
        return found

    async def numbered(self, model_no: int) -> ModelTable:
        return await self._session.get_one(ModelTable, model_no)

    async def lock(self, model_id: str) -> ModelTable | None:
        found: ModelTable | None = await self._session.scalar(
            select(ModelTable).where(ModelTable.model_id == model_id).with_for_update()
        )
        return found

    async def lock_no(self, model_no: int) -> ModelTable:
        return await self._session.get_one(ModelTable, model_no, with_for_update=True)

    async def insert_if_absent(self, **values: Any) -> None:
        """Of several at once, one inserts and the others wait for it and then do nothing."""
        await self._session.execute(
            insert(ModelTable).values(**values).on_conflict_do_nothing(index_elements=["model_id"])
        )

    async def page(
        self, *, after: str | None, limit: int, archived: bool, only: Sequence[str] | None
    ) -> Sequence[ModelTable]:
        """By id; `only`: of these models, where not of all."""
        query = select(ModelTable).order_by(ModelTable.model_id).limit(limit)
        if after is not None:
            query = query.where(ModelTable.model_id > after)
        if only is not None:
            query = query.where(ModelTable.model_id.in_(only))
        if not archived:
            query = query.where(ModelTable.archived_at.is_(None))
        return (await self._session.scalars(query)).all()

    async def everything(self) -> Sequence[ModelTable]:
        return (await self._session.scalars(select(ModelTable).order_by(ModelTable.id))).all()

    async def versions(self, models: Sequence[int]) -> dict[int, list[VersionTable]]:
        """By model, in order of registration."""
        rows = await self._session.scalars(
            select(VersionTable).where(VersionTable.model_no.in_(models)).order_by(VersionTable.id)
        )
        found: dict[int, list[VersionTable]] = {model: [] for model in models}
        for row in rows:
            found[row.model_no].append(row)
        return found

    async def thresholds(self, models: Sequence[int]) -> dict[int, float]:
        """By version: what its setup says; none for versions without a setup, and where the task has no threshold."""
        threshold = SetupTable.dataset_config["threshold"].as_float()
        rows = await self._session.execute(
            select(SetupTable.version_no, threshold)
            .join(VersionTable, VersionTable.id == SetupTable.version_no)
            .where(VersionTable.model_no.in_(models), threshold.is_not(None))
        )
        return dict(rows.all())

    async def aliases(self, models: Sequence[int]) -> dict[int, dict[str, int]]:
        """By model: alias -> version_no."""
        rows = await self._session.scalars(
            select(AliasTable).where(AliasTable.model_no.in_(models)).order_by(AliasTable.alias)
        )
        found: dict[int, dict[str, int]] = {model: {} for model in models}
        for row in rows:
            found[row.model_no][row.alias] = row.version_no
        return found

    async def add_version(
        self,
        model_no: int,
        version: str,
        *,
        model_type: str | None,
        training_data_hash: str | None,
        by: str,
        at: datetime,
    ) -> VersionTable:
        row = VersionTable(
            model_no=model_no,
            version=version,
            state=State.REGISTERED,
            model_type=model_type,
            training_data_hash=training_data_hash,
            created_at=at,
        )
        self._session.add(row)
        await self._session.flush()
        await self.add_move(row, origin=None, reason=None, by=by, at=at)
        return row

    async def add_move(
        self, version: VersionTable, *, origin: State | None, reason: str | None, by: str, at: datetime
    ) -> None:
        """Enters the state that `version` now has into its history."""
        self._session.add(
            MoveTable(
                model_no=version.model_no,
                version_no=version.id,
                from_state=origin,
                to_state=version.state,
                reason=reason,
                moved_by=by,
                moved_at=at,
            )
        )
        await self._session.flush()

    async def moves(self, model_no: int, *, limit: int) -> Sequence[MoveTable]:
        """The last `limit` moves, the newest first."""
        query = select(MoveTable).where(MoveTable.model_no == model_no).order_by(MoveTable.id.desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    async def promoted(self, model_no: int) -> list[int]:
        """The versions in production, in the order in which they came there."""
        query = (
            select(VersionTable.id)
            .join(MoveTable, MoveTable.version_no == VersionTable.id)
            .where(VersionTable.model_no == model_no, VersionTable.state == State.PRODUCTION)
            .where(MoveTable.to_state == State.PRODUCTION)
            .group_by(VersionTable.id)
            .order_by(func.max(MoveTable.id))
        )
        return list(await self._session.scalars(query))

    async def point(self, model_no: int, alias: str, version_no: int) -> None:
        statement = insert(AliasTable).values(model_no=model_no, alias=alias, version_no=version_no)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=["model_no", "alias"], set_={"version_no": version_no})
        )

    async def unpoint(self, model_no: int, alias: str) -> None:
        await self._session.execute(
            delete(AliasTable).where(AliasTable.model_no == model_no, AliasTable.alias == alias)
        )

    async def setup(self, version_no: int) -> SetupTable | None:
        return await self._session.get(SetupTable, version_no)

    async def add_setup(
        self, version_no: int, *, model_info: dict[str, Any], dataset_config: dict[str, Any], at: datetime
    ) -> SetupTable:
        row = SetupTable(
            version_no=version_no,
            model_info=model_info,
            dataset_config=dataset_config,
            monitoring_config={},
            created_at=at,
            updated_at=at,
        )
        self._session.add(row)
        await self._session.flush()
        return row

    async def monitors(
        self, versions: Sequence[int], *, after: int = 0, limit: int | None = None
    ) -> Sequence[MonitorTable]:
        query = select(MonitorTable).where(MonitorTable.version_no.in_(versions), MonitorTable.id > after)
        return (await self._session.scalars(query.order_by(MonitorTable.id).limit(limit))).all()

    async def channels(self, version_no: int) -> Sequence[ChannelTable]:
        query = select(ChannelTable).where(ChannelTable.version_no == version_no).order_by(ChannelTable.position)
        return (await self._session.scalars(query)).all()

    async def replace_monitors(self, version_no: int, rows: Sequence[Mapping[str, Any]]) -> None:
        await self._session.execute(delete(MonitorTable).where(MonitorTable.version_no == version_no))
        self._session.add_all([MonitorTable(version_no=version_no, **row) for row in rows])
        await self._session.flush()

    async def replace_channels(self, version_no: int, rows: Sequence[Mapping[str, Any]]) -> None:
        await self._session.execute(delete(ChannelTable).where(ChannelTable.version_no == version_no))
        self._session.add_all([ChannelTable(version_no=version_no, **row) for row in rows])
        await self._session.flush()

    async def announce(self, model: ModelTable) -> None:
        """Counts the change that readers of the facts must see, and tells every process when it is durable."""
        model.revision += 1
        await self._session.flush()
        await self._session.execute(text("select pg_notify(:channel, :model)"), self._notice(model))

    async def announce_lifecycle(self, model: ModelTable) -> None:
        """As `announce`, for what a person decided: the ETag changes too."""
        model.lifecycle_revision += 1
        await self.announce(model)

    @staticmethod
    def _notice(model: ModelTable) -> dict[str, str]:
        return {"channel": CHANNEL, "model": model.model_id}
