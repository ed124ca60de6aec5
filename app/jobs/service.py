"""Jobs seen from the API: start, look, cancel. The queue is plain SQL here; what runs jobs is another process."""

from typing import Any

from app.auth.errors import Forbidden
from app.auth.principal import Principal
from app.core.clock import Clock, to_datetime
from app.db import audit, paging
from app.db.engine import Database
from app.jobs import repository
from app.jobs.errors import JobEnded, JobNotFound
from app.jobs.job import Job, JobStatus, NewJob
from app.jobs.observed import Outcome, ended
from app.jobs.schemas import JobAnswer, JobsAnswer, JobStarted

SYSTEM_SCOPE = "system:read"  # to see jobs of no model
OPERATE_SCOPE = "system:operate"  # to cancel what somebody else began


class Jobs:
    """One per process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def start(self, new: NewJob) -> JobStarted:
        """Begins a job in a transaction of its own."""
        async with self._database.transaction() as connection:
            return await self.begin(connection, new)

    async def begin(self, connection: Any, new: NewJob) -> JobStarted:
        """Begins a job in the caller's transaction: with it, or not at all.

        The audit says who asked, and whether it was under way already.
        """
        job, is_new = await repository.enqueue_or_find(connection, new)
        await self._record(connection, "job.begin", job, changes=is_new)
        return JobStarted.of(job)

    async def page(
        self, *, cursor: str | None, limit: int, status: JobStatus | None, kind: str | None, principal: Principal
    ) -> JobsAnswer:
        """The jobs that the caller may see, newest first."""
        async with self._database.transaction() as connection:
            rows = await repository.page(
                connection,
                before=paging.number_after(cursor),
                status=status,
                kind=kind,
                models=principal.models,
                all_kinds=principal.may(SYSTEM_SCOPE),
                limit=limit + 1,
            )
        page = paging.cut(rows, limit, lambda job: str(job.id))
        return JobsAnswer(jobs=[JobAnswer.of(job) for job in page.rows], next_cursor=page.next_cursor)

    async def get(self, job_id: int, *, principal: Principal) -> JobAnswer:
        return JobAnswer.of(await self.job(job_id, principal=principal))

    async def job(self, job_id: int, *, principal: Principal) -> Job:
        """Raises `JobNotFound`, also where the caller may not see it."""
        async with self._database.transaction() as connection:
            return _seen(await repository.find(connection, job_id), job_id, principal)

    async def cancel(self, job_id: int, *, principal: Principal) -> JobAnswer:
        """A queued job ends at once; a running one is asked to, and its worker stops it within a second or two."""
        async with self._database.transaction() as connection:
            job = _seen(await repository.find(connection, job_id, lock=True), job_id, principal)
            if job.created_by != principal.subject and not principal.may(OPERATE_SCOPE):
                raise Forbidden(f"only who began a job, or the scope {OPERATE_SCOPE}, may cancel it")
            if job.ended:
                how = "was" if job.status is JobStatus.CANCELLED else "has"
                raise JobEnded(f"job {job_id} {how} {job.status} already", job_status=job.status)
            end = repository.cancel_queued if job.status is JobStatus.QUEUED else repository.ask_to_end
            await self._record(connection, "job.cancel", job, changes=not job.cancel_requested)
            answer = JobAnswer.of(await end(connection, job_id))
        if answer.status is JobStatus.CANCELLED:  # else it ends where it runs, and is counted there
            ended(job.kind, Outcome.CANCELLED)
        return answer

    async def _record(self, connection: Any, action: str, job: Job, *, changes: bool) -> None:
        thing = f"job:{job.id}" if job.model_id is None else f"model:{job.model_id}"
        at = to_datetime(self._clock.now_us())
        outcome: audit.Outcome = "done" if changes else "unchanged"
        await audit.record_on(connection, at, action, thing, outcome=outcome, kind=job.kind, job=job.id)


def _seen(job: Job | None, job_id: int, principal: Principal) -> Job:
    if job is not None:
        mine = principal.may(SYSTEM_SCOPE) if job.model_id is None else principal.may_see(job.model_id)
        if mine:
            return job
    raise JobNotFound(f"there is no job {job_id}")
