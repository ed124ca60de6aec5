"""The registry: models, their versions, aliases, states with their history, and what setup fixed for a version."""

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, DateTime, Double, ForeignKey, Identity, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Table

Document = dict[str, Any]
Moment = DateTime(timezone=True)


class ModelTable(Table):
    """One model: what every version shares, and the two counters its readers follow.

    `revision` grows with everything the hot path reads; `lifecycle_revision` (the ETag) only with what a person
    decided, so that ingest which adds a class leaves it alone.
    """

    __tablename__ = "model"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    model_id: Mapped[str] = mapped_column(Text, unique=True)
    task: Mapped[str] = mapped_column(Text)
    classes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    positive: Mapped[int]
    threshold: Mapped[float] = mapped_column(Double)
    allow_new_classes: Mapped[bool]
    feature_schema: Mapped[Document] = mapped_column(JSONB)
    retention_days: Mapped[int | None]
    reference: Mapped[Document | None] = mapped_column(JSONB(none_as_null=True))
    reference_revision: Mapped[int]
    revision: Mapped[int]
    lifecycle_revision: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Moment)
    archived_at: Mapped[datetime | None] = mapped_column(Moment)


class VersionTable(Table):
    """One version of a model; `id` is unique over all models and grows with registration."""

    __tablename__ = "model_version"
    __table_args__ = (UniqueConstraint("model_no", "version"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    model_no: Mapped[int] = mapped_column(ForeignKey("model.id"))
    version: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    model_type: Mapped[str | None] = mapped_column(Text)
    training_data_hash: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)


class AliasTable(Table):
    """A name that points at one version of its model: champion, challenger, or any other."""

    __tablename__ = "model_alias"

    model_no: Mapped[int] = mapped_column(ForeignKey("model.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(Text, primary_key=True)
    version_no: Mapped[int] = mapped_column(ForeignKey("model_version.id"))


class MoveTable(Table):
    """The history of states, append-only: the first row of a version has no `from_state`."""

    __tablename__ = "version_move"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    model_no: Mapped[int] = mapped_column(ForeignKey("model.id"), index=True)
    version_no: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    from_state: Mapped[str | None] = mapped_column(Text)
    to_state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    moved_by: Mapped[str] = mapped_column(Text)
    moved_at: Mapped[datetime] = mapped_column(Moment)


class SetupTable(Table):
    """The three documents of a version's setup, complete: what the caller left out stands with its default."""

    __tablename__ = "version_setup"

    version_no: Mapped[int] = mapped_column(ForeignKey("model_version.id"), primary_key=True)
    model_info: Mapped[Document] = mapped_column(JSONB)
    dataset_config: Mapped[Document] = mapped_column(JSONB)
    monitoring_config: Mapped[Document] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class MonitorTable(Table):
    """A limit that setup put on a version; `status` says whether anything watches it yet."""

    __tablename__ = "version_monitor"
    __table_args__ = (UniqueConstraint("version_no", "name"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    version_no: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    name: Mapped[str] = mapped_column(Text)
    metric: Mapped[str] = mapped_column(Text)
    threshold: Mapped[float] = mapped_column(Double)
    real_time: Mapped[bool]
    status: Mapped[str] = mapped_column(Text)


class ChannelTable(Table):
    """A notification channel that a version's setup asks for, by name; `position` keeps the order asked in."""

    __tablename__ = "version_channel"

    version_no: Mapped[int] = mapped_column(ForeignKey("model_version.id"), primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int]
    status: Mapped[str] = mapped_column(Text)
