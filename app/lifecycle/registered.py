"""What the registry knows of a model, as its status shows it."""

from dataclasses import dataclass, fields
from typing import Any

from app.db.engine import ReadSession
from app.lifecycle.answers import HistoryEntry
from app.models import moves, views
from app.models.catalogue import CHAMPION
from app.models.errors import ModelNotFound
from app.models.moves import State
from app.models.repository import ModelRepository
from app.models.schemas import ChannelAnswer, MonitorAnswer, VersionAnswer

HISTORY = 20  # a life has eight states; twenty moves are the recent past of even a busy model


@dataclass(frozen=True, slots=True)
class Registered:
    """`number` is the database's; `version` is the one whose state the model shows."""

    number: int
    model_id: str
    task: str
    state: State
    version: str
    versions: list[VersionAnswer]
    aliases: dict[str, str]
    allowed_transitions: list[State]
    monitors: list[MonitorAnswer]
    channels: list[ChannelAnswer]
    history: list[HistoryEntry]
    revision: int

    def members(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "number"}


async def registered(session: ReadSession, model_id: str) -> Registered:
    """Raises `ModelNotFound`."""
    repository = ModelRepository(session)
    model = await repository.find(model_id)
    if model is None:
        raise ModelNotFound.of(model_id)
    rows = (await repository.versions([model.id]))[model.id]
    numbers = (await repository.aliases([model.id]))[model.id]
    aliases = views.alias_labels(rows, numbers)
    shown = moves.leading(views.states_of(rows), aliases.get(CHAMPION))
    row = next(row for row in rows if row.version == shown)
    archived = model.archived_at is not None
    labels = {row.id: row.version for row in rows}
    return Registered(
        number=model.id,
        model_id=model_id,
        task=model.task,
        state=State.ARCHIVED if archived else State(row.state),
        version=shown,
        versions=[views.version_answer(each, numbers, archived=archived) for each in rows],
        aliases=aliases,
        allowed_transitions=[] if archived else list(moves.allowed(State(row.state))),
        monitors=views.monitor_answers(await repository.monitors([row.id]), rows),
        channels=views.channel_answers(await repository.channels(row.id)),
        history=[
            HistoryEntry.model_validate(
                {
                    "version": labels[move.version_no],
                    "from_state": move.from_state,
                    "to_state": move.to_state,
                    "reason": move.reason,
                    "moved_by": move.moved_by,
                    "moved_at": move.moved_at,
                }
            )
            for move in await repository.moves(model.id, limit=HISTORY)
        ],
        revision=model.lifecycle_revision,
    )
