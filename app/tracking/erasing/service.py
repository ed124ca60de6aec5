"""Asking for a purge. The job keeps digests: what is to be forgotten is not written down once more."""

from collections.abc import Sequence
from typing import Any

from app.auth.principal import Principal
from app.core.clock import Clock
from app.core.errors import MAX_PLACES, InvalidRequest, Place
from app.db.engine import Database
from app.jobs.job import NewJob
from app.jobs.schemas import JobStarted
from app.jobs.service import Jobs
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.tracking.decoding.texts import MAX_ID, flaws
from app.tracking.digests import subject_digest
from app.tracking.erasing.errors import ModelNotArchived
from app.tracking.erasing.gather import gather
from app.tracking.erasing.schemas import PurgeRequest
from app.tracking.repository.predictions import subject_secret

KIND = "purge"


class Purges:
    """One per process."""

    def __init__(self, database: Database, clock: Clock, catalogue: Catalogue, jobs: Jobs) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue
        self._jobs = jobs

    async def start(self, model_id: str, request: PurgeRequest, *, principal: Principal) -> JobStarted:
        """Raises `ModelNotFound`, `ModelNotArchived`, `InvalidRequest`."""
        facts = await self._catalogue.fresh(model_id)
        if request.everything_of is not None:
            _check(facts, request)
        _check_ids(request.prediction_ids or ())
        async with self._database.transaction() as connection:
            arguments, done = await self._arguments(connection, facts, request)
            return await self._jobs.begin(
                connection, NewJob(KIND, principal.subject, arguments, facts.model_id, done=done)
            )

    async def _arguments(
        self, connection: Any, facts: ModelFacts, request: PurgeRequest
    ) -> tuple[dict[str, Any], dict[str, int] | None]:
        """The job's, and what is done of it already."""
        if request.subjects is not None:
            return {"subjects": await _digests(connection, request.subjects)}, None
        if request.prediction_ids is None:
            return {"subjects": None}, None
        found = await gather(connection, self._clock, facts, request.prediction_ids)
        done = {"rows": 0, "waiting_labels": found.waiting_labels, "unknown": found.unknown}
        return {"subjects": [found.subject.hex()], "ids": found.ids}, done


async def _digests(connection: Any, subjects: Sequence[str]) -> list[str]:
    secret = await subject_secret(connection)
    return [subject_digest(secret, subject).hex() for subject in subjects]


def _check(facts: ModelFacts, request: PurgeRequest) -> None:
    if request.everything_of != facts.model_id:
        place = Place("/everything_of", "not_confirmed", f"must be {facts.model_id}, the model of the address")
        raise InvalidRequest("the model to purge is not confirmed", places=[place])
    if not facts.archived:
        raise ModelNotArchived(f"{facts.model_id} is in use; DELETE /api/v1/models/{facts.model_id} archives it")


def _check_ids(ids: Sequence[str]) -> None:
    """By the rules of ingest, with its codes and words: what it refuses, nothing can be stored under."""
    wrong = [Place(f"/prediction_ids/{index}", code, message) for index, code, message in flaws(ids, MAX_ID)]
    if wrong:
        raise InvalidRequest("these can't be ids of predictions; nothing was erased", places=wrong[:MAX_PLACES])
