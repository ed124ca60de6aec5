"""One transaction's changes of one model: its row is locked, so each sees what the one before it left."""

from collections.abc import Sequence
from datetime import datetime

from app.auth.errors import Forbidden
from app.auth.principal import Principal
from app.core.errors import Place
from app.db import audit
from app.db.engine import Session
from app.db.tables.models import ModelTable, VersionTable
from app.models import moves
from app.models.catalogue import CHAMPION
from app.models.errors import AliasNotFound, ModelArchived, ModelInUse, ModelNotFound, UnknownVersion
from app.models.moves import PROMOTE, Attempt, State
from app.models.repository import ModelRepository


class Change:
    """A locked model with its versions (in order of registration) and aliases; `principal` changes it, now is `at`.

    Each change counts up the lifecycle revision and is announced to all processes when the transaction ends.
    """

    def __init__(
        self,
        session: Session,
        repository: ModelRepository,
        model: ModelTable,
        versions: Sequence[VersionTable],
        aliases: dict[str, int],
        *,
        principal: Principal,
        at: datetime,
    ) -> None:
        self._session = session
        self.repository = repository
        self.model = model
        self.versions = {row.version: row for row in versions}
        self.aliases = aliases
        self._principal = principal
        self._at = at
        self._before = self.seen()

    @classmethod
    async def of(
        cls, session: Session, model_id: str, *, principal: Principal, at: datetime, archived: bool = False
    ) -> "Change":
        """Waits for others who change this model. Raises `ModelNotFound`, and `ModelArchived` unless `archived`."""
        repository = ModelRepository(session)
        model = await repository.lock(model_id)
        if model is None:
            raise ModelNotFound.of(model_id)
        if model.archived_at is not None and not archived:
            raise ModelArchived(
                f"{model_id} is archived; nothing of it changes any more, and its id stays taken", model_id=model_id
            )
        versions, aliases = await repository.versions([model.id]), await repository.aliases([model.id])
        return cls(session, repository, model, versions[model.id], aliases[model.id], principal=principal, at=at)

    def seen(self) -> dict[str, object]:
        """What the audit tells one state of the model from another by."""
        return {
            "versions": {row.version: row.state for row in self.versions.values()},
            "aliases": dict(self.aliases),
            "archived": self.model.archived_at is not None,
        }

    async def record(self, action: str, **details: str | None) -> None:
        """The row of the audit, once, when all is done."""
        after = self.seen()
        await audit.record(
            self._session,
            self._at,
            action,
            f"model:{self.model.model_id}",
            outcome="unchanged" if after == self._before else "done",
            before=self._before,
            after=after,
            **details,
        )

    def version(self, label: str) -> VersionTable:
        if label not in self.versions:
            raise UnknownVersion(
                f"{self.model.model_id} has no version {label}",
                places=[Place("/version", "unknown_version", f"is none of {', '.join(list(self.versions)[-20:])}")],
                version=label,
            )
        return self.versions[label]

    def leading(self) -> str:
        """The version that is moved where none is named: the one whose state the model shows."""
        labels = {row.id: row.version for row in self.versions.values()}
        champion = self.aliases.get(CHAMPION)
        states = {row.version: State(row.state) for row in self.versions.values()}
        return moves.leading(states, None if champion is None else labels[champion])

    async def register(self, version: str, *, model_type: str | None, training_data_hash: str | None) -> VersionTable:
        row = await self.repository.add_version(
            self.model.id,
            version,
            model_type=model_type,
            training_data_hash=training_data_hash,
            by=self._principal.subject,
            at=self._at,
        )
        self.versions[version] = row
        await self.repository.announce_lifecycle(self.model)
        return row

    async def move(self, row: VersionTable, target: State, *, reason: str | None) -> None:
        """Raises `IllegalMove`, or what a guard of the table says."""
        set_up = await self.repository.setup(row.id) is not None
        origin = State(row.state)
        moves.check(origin, target, Attempt(row.version, self._principal.scopes, set_up))
        row.state = target
        await self.repository.add_move(row, origin=origin, reason=reason, by=self._principal.subject, at=self._at)
        await self._follow(row, target)
        await self.repository.announce_lifecycle(self.model)

    async def point(self, alias: str, version: str) -> None:
        row = self.version(version)
        if self.aliases.get(alias) == row.id:
            return
        if alias == CHAMPION:
            moves.is_set_up(Attempt(version, self._principal.scopes, row.state != State.REGISTERED))
            self._may_name(version)
        await self._set(alias, row.id)
        await self.repository.announce_lifecycle(self.model)

    async def unpoint(self, alias: str) -> None:
        if alias not in self.aliases:
            raise AliasNotFound(f"{self.model.model_id} has no alias {alias}", alias=alias)
        if alias == CHAMPION:
            self._may_name(None)
        await self._set(alias, None)
        await self.repository.announce_lifecycle(self.model)

    async def archive(self) -> None:
        """Ends the model's life, once; its versions keep the states in which it ended."""
        if self.model.archived_at is not None:
            return
        used = [row.version for row in self.versions.values() if row.state in (State.STAGING, State.PRODUCTION)]
        if used:
            raise ModelInUse(
                f"version {used[0]} is in {self.versions[used[0]].state}; roll it back or deprecate it first",
                versions=used,
            )
        self.model.archived_at = self._at
        await self.repository.announce_lifecycle(self.model)

    async def _follow(self, row: VersionTable, target: State) -> None:
        """The champion follows the moves of its version."""
        labels = {other.id: other.version for other in self.versions.values()}
        others = [labels[number] for number in await self.repository.promoted(self.model.id) if number != row.id]
        now = self.aliases.get(CHAMPION)
        champion = None if now is None else labels[now]
        after = moves.champion_after(row.version, target, champion=champion, in_production=others)
        if after != champion:
            await self._set(CHAMPION, None if after is None else self.versions[after].id)

    async def _set(self, alias: str, version_no: int | None) -> None:
        if version_no is None:
            await self.repository.unpoint(self.model.id, alias)
            self.aliases.pop(alias, None)
        else:
            await self.repository.point(self.model.id, alias, version_no)
            self.aliases[alias] = version_no

    def _may_name(self, version: str | None) -> None:
        """The champion answers for the model. Where another version than before would be in production by that, or
        take what is predicted without a version, naming it is a promotion; `version` None takes the name away."""
        labels = {row.id: row.version for row in self.versions.values()}
        now = None if CHAMPION not in self.aliases else labels[self.aliases[CHAMPION]]
        latest = moves.latest({row.version: State(row.state) for row in self.versions.values()})
        live = {row.version for row in self.versions.values() if row.state == State.PRODUCTION}
        changes = (version or latest) != (now or latest) or live.intersection((version, now))
        if changes and not self._principal.may(PROMOTE):
            raise Forbidden(f"this changes who answers for the model; it needs the scope {PROMOTE}", scope=PROMOTE)
