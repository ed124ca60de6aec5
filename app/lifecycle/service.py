"""The use cases that see a model as a whole: set up, look at it, move it on."""

from app.auth.principal import Principal
from app.core.clock import Clock, to_datetime
from app.core.errors import InvalidRequest, Place
from app.core.together import Together
from app.db.engine import Database
from app.lifecycle import setup
from app.lifecycle.answers import SetupAnswer, StatusAnswer
from app.lifecycle.errors import PreconditionMissing, StaleRevision
from app.lifecycle.etag import demand_strong, etag, matches
from app.lifecycle.registered import Registered, registered
from app.lifecycle.repository import Pulse, pulse
from app.lifecycle.schemas import SetupRequest, UpdateRequest
from app.lifecycle.standing import METRICS_NOW, labels_now, metrics_now
from app.models.catalogue import Catalogue
from app.models.change import Change
from app.models.errors import ModelNotFound
from app.stats.tally import Sparse, Tally
from app.tracking.rollups.curves import Curves
from app.tracking.rollups.reading import Reading, Share


class LifecycleService:
    """Each change is one transaction; every process sees it at its next request."""

    def __init__(
        self, database: Database, clock: Clock, catalogue: Catalogue, reading: Reading, curves: Curves
    ) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue
        self._reading = reading
        self._curves = curves
        self._known: dict[str, Registered] = {}
        self._statuses: Together[str, tuple[StatusAnswer, str]] = Together()

    async def set_up(self, model_id: str, request: SetupRequest, *, principal: Principal) -> tuple[SetupAnswer, str]:
        """What stands now, and its entity tag; the same call again changes nothing."""
        if request.model_info.model_id != model_id:
            place = Place("/model_info/model_id", "other_id", f"the address says {model_id}")
            raise InvalidRequest("path and body name different models", places=[place])
        now = to_datetime(self._clock.now_us())
        async with self._database.write() as session:
            answer, revision = await setup.set_up(
                session, request, principal=principal, at=now, general_days=self._catalogue.retention_days
            )
        self._catalogue.forget(model_id)
        return answer, etag(revision)

    async def status(self, model_id: str) -> tuple[StatusAnswer, str]:
        """The model now, and the entity tag of its lifecycle; labels that arrive change the answer, not the tag."""
        return await self._statuses.of(model_id, lambda: self._status(model_id))

    async def _status(self, model_id: str) -> tuple[StatusAnswer, str]:
        async with self._database.connection() as connection:
            now = await pulse(connection, model_id)
        if now is None:
            raise ModelNotFound.of(model_id)
        answer = await self._answer(await self._registered(model_id, now), now)
        return answer, etag(answer.revision)

    async def update(
        self, model_id: str, request: UpdateRequest, *, if_match: str | None, principal: Principal
    ) -> tuple[StatusAnswer, str]:
        """Moves one version. Raises `PreconditionMissing`, `StaleRevision`, `IllegalMove`, or a guard's refusal."""
        if if_match is None:
            raise PreconditionMissing("send the status's `ETag` in `If-Match`")
        demand_strong(if_match)
        now = to_datetime(self._clock.now_us())
        async with self._database.write() as session:
            change = await Change.of(session, model_id, principal=principal, at=now)
            if not matches(if_match, change.model.lifecycle_revision):
                raise StaleRevision("the lifecycle changed meanwhile", current=etag(change.model.lifecycle_revision))
            row = change.version(request.version or change.leading())
            origin = row.state
            await change.move(row, request.target_state, reason=request.reason)
            await change.record(
                "version.move", version=row.version, origin=origin, target=row.state, reason=request.reason
            )
        self._catalogue.forget(model_id)
        return await self.status(model_id)

    async def _registered(self, model_id: str, now: Pulse) -> Registered:
        """Everything in it counts the lifecycle revision up when it changes, so it is read once for each."""
        known = self._known.get(model_id)
        if known is None or (known.number, known.revision) != (now.number, now.lifecycle_revision):
            async with self._database.read() as session:
                known = self._known[model_id] = await registered(session, model_id)
        return known

    async def _answer(self, model: Registered, now: Pulse) -> StatusAnswer:
        facts = await self._catalogue.facts(model.model_id, at_least=now.facts_revision)
        version_no = facts.versions[model.version]
        shares = await self._reading.totals([facts], by_version=True)
        share = shares.get((facts.id, version_no)) or Share(Tally.of(facts.shape, 1, Sparse.empty()), 0)
        metrics = metrics_now(share)
        return StatusAnswer(
            **model.members(),
            accuracy=metrics[METRICS_NOW[facts.task][0]],
            metrics=metrics,
            labels=labels_now(share, await self._curves.of(facts), waiting=now.waiting),
        )
