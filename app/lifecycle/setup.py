"""Setting a version up, inside one transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from app.auth.principal import Principal
from app.db import audit
from app.db.engine import Session
from app.db.tables.models import ModelTable, SetupTable, VersionTable
from app.lifecycle.answers import SetupAnswer
from app.lifecycle.declared import Declared, Terms, declare, documents, extend, refuse_changes, restated_retention
from app.lifecycle.errors import SetupConflict
from app.lifecycle.monitors import channels_of, monitors_of
from app.lifecycle.repository import tracked
from app.lifecycle.schemas import ModelInfo, MonitoringConfig, SetupRequest
from app.models import views
from app.models.change import Change
from app.models.moves import State
from app.models.repository import ModelRepository
from app.stats.tally import Task

Outcome = Literal["created", "unchanged", "updated"]
PURGE = "purge"
MAX_TOLD = 500  # characters of a schema in a row of the audit


async def set_up(
    session: Session, request: SetupRequest, *, principal: Principal, at: datetime, general_days: int
) -> tuple[SetupAnswer, int]:
    """What stands afterwards, and the lifecycle revision. Rows are kept `general_days` where the model names no other.

    Of many at once, one makes the model and the others find it made: they wait for its row. Raises `SetupConflict`,
    `InvalidRequest`, `ModelArchived`.
    """
    repository = ModelRepository(session)
    info = request.model_info
    if await repository.find(info.model_id) is None:
        await repository.insert_if_absent(**_new_model(info.model_id, declare(request), at))
    change = await Change.of(session, info.model_id, principal=principal, at=at)
    row = change.versions.get(info.version)
    setup = None if row is None else await repository.setup(row.id)
    before = None if setup is None else _seen(setup)
    known = _known(change.model)
    terms = Terms(
        kept_days=known.retention_days or general_days,
        tracked=await tracked(session, change.model.id),
        may_purge=principal.may(PURGE),
    )
    outcome: Outcome = "created"
    if row is None or setup is None:
        row, setup = await _first(change, row, request, terms, at)
    else:
        outcome = await _again(change, row, setup, request, terms, at)
    await audit.record(
        session,
        at,
        "model.set-up",
        f"model:{info.model_id}",
        outcome="unchanged" if outcome == "unchanged" else "done",
        before=before,
        after=_seen(setup),
        version=row.version,
        **_told(known, _known(change.model), general_days),
    )
    return await _answer(change, row, setup, outcome), change.model.lifecycle_revision


async def _first(
    change: Change, row: VersionTable | None, request: SetupRequest, terms: Terms, at: datetime
) -> tuple[VersionTable, SetupTable]:
    declared = extend(_known(change.model), request, terms)
    info = request.model_info
    if row is None:
        row = await change.register(
            info.version, model_type=info.model_type, training_data_hash=info.training_data_hash
        )
    _agree(row, info)
    _store(change.model, declared)
    model_info, dataset_config = documents(request, declared)
    setup = await change.repository.add_setup(
        row.id,
        model_info=model_info | {"model_type": row.model_type, "training_data_hash": row.training_data_hash},
        dataset_config=dataset_config,
        at=at,
    )
    await _watch(change, row, setup, request.monitoring_config or MonitoringConfig())
    if row.state == State.REGISTERED:
        await change.move(row, State.TRACKING, reason="setup")
    else:
        await change.repository.announce_lifecycle(change.model)
    return row, setup


async def _again(
    change: Change, row: VersionTable, setup: SetupTable, request: SetupRequest, terms: Terms, at: datetime
) -> Outcome:
    refuse_changes(request, setup.model_info, setup.dataset_config, terms)
    filled = _agree(row, request.model_info)
    setup.model_info = setup.model_info | filled
    monitoring = request.monitoring_config
    changed = monitoring is not None and _document(monitoring) != setup.monitoring_config
    if monitoring is not None and changed:
        await _watch(change, row, setup, monitoring)
    days = restated_retention(request, setup.dataset_config)
    if days is not None:
        change.model.retention_days = days
        setup.dataset_config = setup.dataset_config | {"retention_days": days}
    if not changed and not filled and days is None:
        return "unchanged"
    setup.updated_at = at
    await change.repository.announce_lifecycle(change.model)
    return "updated"


async def _watch(change: Change, row: VersionTable, setup: SetupTable, config: MonitoringConfig) -> None:
    monitors = monitors_of(config, Task(change.model.task))
    setup.monitoring_config = _document(config)
    await change.repository.replace_monitors(row.id, monitors)
    await change.repository.replace_channels(row.id, channels_of(config))


async def _answer(change: Change, row: VersionTable, setup: SetupTable, outcome: Outcome) -> SetupAnswer:
    monitors = await change.repository.monitors([row.id])
    channels = await change.repository.channels(row.id)
    return SetupAnswer(
        model_id=change.model.model_id,
        version=row.version,
        state=State(row.state),
        outcome=outcome,
        monitors=views.monitor_answers(monitors, [row]),
        channels=views.channel_answers(channels),
        model_info=setup.model_info,
        dataset_config=setup.dataset_config,
        monitoring_config=setup.monitoring_config,
        created_at=setup.created_at,
        updated_at=setup.updated_at,
    )


def _seen(setup: SetupTable) -> dict[str, Any]:
    """What the audit tells one setup from another by."""
    return {
        "model_info": setup.model_info,
        "dataset_config": setup.dataset_config,
        "monitoring_config": setup.monitoring_config,
    }


def _told(before: Declared, after: Declared, general_days: int) -> dict[str, Any]:
    """What the audit's reader must see: a change of what holds for the rows of all versions."""
    told: dict[str, Any] = {}
    if after.retention_days != before.retention_days:
        told["retention_days_before"] = before.retention_days or general_days
        told["retention_days"] = after.retention_days or general_days
    if after.schema != before.schema:
        told["schema_before"], told["schema"] = _features(before.schema), _features(after.schema)
    return told


def _features(schema: Mapping[str, str]) -> str:
    listed = ", ".join(f"{name}: {kind}" for name, kind in schema.items()) or "open"
    return listed if len(listed) <= MAX_TOLD else f"{listed[:MAX_TOLD]}… ({len(schema)} features)"


def _document(config: MonitoringConfig) -> dict[str, Any]:
    """A limit that is not set is no limit, however that was written."""
    return config.model_dump(exclude_none=True)


def _agree(row: VersionTable, info: ModelInfo) -> dict[str, Any]:
    """Fills in what was left open of the version, and says what; raises `SetupConflict` where it says otherwise."""
    stated = {"model_type": info.model_type, "training_data_hash": info.training_data_hash}
    if places := views.differences(row, **stated, within="/model_info"):
        raise SetupConflict(f"{places[0].pointer}: {places[0].message}", places=places)
    filled = {name: value for name, value in stated.items() if value is not None and getattr(row, name) is None}
    for name, value in filled.items():
        setattr(row, name, value)
    return filled


def _known(model: ModelTable) -> Declared:
    return Declared(
        task=Task(model.task),
        classes=tuple(model.classes),
        positive=model.positive,
        threshold=model.threshold,
        allow_new_classes=model.allow_new_classes,
        schema=model.feature_schema,
        retention_days=model.retention_days,
        reference=model.reference,
    )


def _store(model: ModelTable, declared: Declared) -> None:
    """The model holds what its versions share; the threshold there is for versions that have no setup."""
    if declared.reference != model.reference:
        model.reference_revision += 1
    for name, value in _columns(declared).items():
        if getattr(model, name) != value:
            setattr(model, name, value)


def _columns(declared: Declared) -> dict[str, Any]:
    return {
        "classes": list(declared.classes),
        "threshold": declared.threshold,
        "allow_new_classes": declared.allow_new_classes,
        "feature_schema": dict(declared.schema),
        "retention_days": declared.retention_days,
        "reference": declared.reference,
    }


def _new_model(model_id: str, declared: Declared, at: datetime) -> dict[str, Any]:
    return {
        **_columns(declared),
        "model_id": model_id,
        "task": declared.task,
        "positive": declared.positive,
        "reference_revision": 0 if declared.reference is None else 1,
        "revision": 0,
        "lifecycle_revision": 0,
        "created_at": at,
    }
