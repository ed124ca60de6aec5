"""Rows of the registry as answers; pure."""

from collections.abc import Mapping, Sequence

from app.core.errors import Place
from app.db.tables.models import ChannelTable, ModelTable, MonitorTable, VersionTable
from app.models import moves
from app.models.catalogue import CHAMPION
from app.models.moves import State
from app.models.schemas import ChannelAnswer, ModelAnswer, MonitorAnswer, VersionAnswer
from app.stats.tally import Task


def states_of(versions: Sequence[VersionTable]) -> dict[str, State]:
    """By label, in order of registration."""
    return {row.version: State(row.state) for row in versions}


def alias_labels(versions: Sequence[VersionTable], aliases: Mapping[str, int]) -> dict[str, str]:
    labels = {row.id: row.version for row in versions}
    return {alias: labels[number] for alias, number in sorted(aliases.items())}


def model_answer(model: ModelTable, versions: Sequence[VersionTable], aliases: Mapping[str, int]) -> ModelAnswer:
    named, states = alias_labels(versions, aliases), states_of(versions)
    shown = moves.leading(states, named.get(CHAMPION))
    return ModelAnswer.model_validate(
        {
            "model_id": model.model_id,
            "task": model.task,
            "classes": model.classes,
            "positive_class": model.classes[model.positive] if model.task == Task.BINARY else None,
            "state": State.ARCHIVED if model.archived_at is not None else states[shown],
            "version": shown,
            "default_version": named.get(CHAMPION) or moves.latest(states),
            "versions": list(states),
            "aliases": named,
            "created_at": model.created_at,
            "archived_at": model.archived_at,
        }
    )


def version_answer(version: VersionTable, aliases: Mapping[str, int], *, archived: bool) -> VersionAnswer:
    """A version of an archived model goes nowhere any more."""
    state = State(version.state)
    return VersionAnswer(
        version=version.version,
        state=state,
        aliases=sorted(alias for alias, number in aliases.items() if number == version.id),
        allowed_transitions=[] if archived else list(moves.allowed(state)),
        model_type=version.model_type,
        training_data_hash=version.training_data_hash,
        created_at=version.created_at,
    )


def monitor_answers(monitors: Sequence[MonitorTable], versions: Sequence[VersionTable]) -> list[MonitorAnswer]:
    labels = {row.id: row.version for row in versions}
    return [
        MonitorAnswer.model_validate(
            {
                "version": labels[row.version_no],
                "name": row.name,
                "metric": row.metric,
                "threshold": row.threshold,
                "real_time": row.real_time,
                "status": row.status,
            }
        )
        for row in monitors
    ]


def channel_answers(channels: Sequence[ChannelTable]) -> list[ChannelAnswer]:
    return [ChannelAnswer.model_validate({"name": row.name, "status": row.status}) for row in channels]


def differences(
    version: VersionTable, *, model_type: str | None, training_data_hash: str | None, within: str = ""
) -> list[Place]:
    """Where what is stated of a version contradicts what is known of it; what either leaves out contradicts nothing."""
    stated = {"model_type": model_type, "training_data_hash": training_data_hash}
    known = {"model_type": version.model_type, "training_data_hash": version.training_data_hash}
    return [
        Place(f"{within}/{name}", "conflict", f"version {version.version} has {known[name]!r}")
        for name, value in stated.items()
        if None not in (value, known[name]) and value != known[name]
    ]
