"""Asking for a recount of a model's statistics."""

from app.auth.principal import Principal
from app.jobs.job import NewJob
from app.jobs.schemas import JobStarted
from app.jobs.service import Jobs
from app.models.catalogue import Catalogue

RECOUNT = "rollups.recount"


class Recounts:
    """One per process."""

    def __init__(self, catalogue: Catalogue, jobs: Jobs) -> None:
        self._catalogue = catalogue
        self._jobs = jobs

    async def start(self, model_id: str, *, mend: bool, principal: Principal) -> JobStarted:
        """The same job for all who ask while it is under way. Raises `ModelNotFound`."""
        facts = await self._catalogue.facts(model_id)
        single = f"{RECOUNT} {facts.id} {mend}"
        return await self._jobs.start(NewJob(RECOUNT, principal.subject, {"mend": mend}, facts.model_id, single))
