"""Asking for a purge. The job keeps digests: what is to be forgotten is not written down once more."""

from typing import Any

from app.auth.principal import Principal
from app.core.errors import InvalidRequest, Place
from app.db.engine import Database
from app.jobs.job import NewJob
from app.jobs.schemas import JobStarted
from app.jobs.service import Jobs
from app.models.catalogue import Catalogue
from app.models.facts import ModelFacts
from app.tracking.digests import subject_digest
from app.tracking.erasing.errors import ModelNotArchived
from app.tracking.erasing.schemas import PurgeRequest
from app.tracking.repository.predictions import subject_secret

KIND = "purge"


class Purges:
    """One per process."""

    def __init__(self, database: Database, catalogue: Catalogue, jobs: Jobs) -> None:
        self._database = database
        self._catalogue = catalogue
        self._jobs = jobs

    async def start(self, model_id: str, request: PurgeRequest, *, principal: Principal) -> JobStarted:
        """Raises `ModelNotFound`, `ModelNotArchived`."""
        facts = await self._catalogue.fresh(model_id)
        if request.subjects is None:
            _check(facts, request)
        async with self._database.transaction() as connection:
            arguments: dict[str, Any] = {"subjects": None}
            if request.subjects is not None:
                secret = await subject_secret(connection)
                arguments["subjects"] = [subject_digest(secret, subject).hex() for subject in request.subjects]
            return await self._jobs.begin(connection, NewJob(KIND, principal.subject, arguments, facts.model_id))


def _check(facts: ModelFacts, request: PurgeRequest) -> None:
    if request.everything_of != facts.model_id:
        place = Place("/everything_of", "not_confirmed", f"must be {facts.model_id}, the model of the address")
        raise InvalidRequest("the model to purge is not confirmed", places=[place])
    if not facts.archived:
        raise ModelNotArchived(f"{facts.model_id} is in use; DELETE /api/v1/models/{facts.model_id} archives it")
