"""Jobs over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator

from app.auth.errors import Forbidden
from app.auth.guards import Scoped
from app.auth.principal import Principal
from app.auth.streams import streamed
from app.core.errors import InvalidRequest, Unavailable
from app.core.http import responses
from app.core.provide import provided
from app.jobs.errors import JobEnded, JobNotFound, JobStreamsExhausted
from app.jobs.feed import JobFeed
from app.jobs.schemas import JobAnswer, JobsAnswer, JobsAsked
from app.jobs.service import Jobs

router = APIRouter(prefix="/jobs", tags=["jobs"])

Service = Annotated[Jobs, Depends(provided(Jobs))]
Reader = Annotated[Principal, Scoped("models:read")]
JobId = Annotated[int, Path(ge=1, lt=1 << 63, description="`job_id` of the answer that began it", examples=[17])]


@router.get("", summary="List jobs", responses=responses(InvalidRequest, Unavailable))
async def list_jobs(principal: Reader, asked: Annotated[JobsAsked, Query()], service: Service) -> JobsAnswer:
    """The jobs of models that the caller may see, newest first; with `system:read` also those of no model."""
    return await service.page(
        cursor=asked.cursor, limit=asked.limit, status=asked.status, kind=asked.kind, principal=principal
    )


@router.get("/{job_id}", summary="Get a job", responses=responses(JobNotFound, InvalidRequest, Unavailable))
async def get_job(job_id: JobId, principal: Reader, service: Service) -> JobAnswer:
    """Status, progress, and how it ended. Ended jobs are kept for 30 days."""
    return await service.get(job_id, principal=principal)


@router.get(
    "/{job_id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `job` with its state at each change, `end` with the last one",
            "content": {"text/event-stream": {"example": 'id: 4\nevent: end\ndata: {"job_id":"17", …}\n\n'}},
        },
        **responses(JobNotFound, InvalidRequest, JobStreamsExhausted, Unavailable),
    },
)
async def follow_job(
    request: Request,
    job_id: JobId,
    principal: Reader,
    feed: Annotated[JobFeed, Depends(provided(JobFeed))],
    last_event_id: Annotated[
        int,
        BeforeValidator(lambda given: given or 0),  # empty: none
        Header(ge=0, lt=1 << 31, description="`id` of the last event seen: only what came after it is sent, and `end`"),
    ] = 0,
) -> StreamingResponse:
    """The job's state now and at each change, until it ends, 15 minutes or the caller's right are over or the server
    shuts down."""
    return streamed(request, await feed.events(job_id, last_event_id, principal=principal))


@router.delete(
    "/{job_id}",
    summary="Cancel a job",
    responses=responses(JobNotFound, JobEnded, Forbidden, InvalidRequest, Unavailable),
)
async def cancel_job(job_id: JobId, principal: Reader, service: Service) -> JobAnswer:
    """A queued job ends at once; a running one is stopped within seconds and then ends `cancelled`.

    Whoever began the job may cancel it, others need `system:operate`. What a job has done so far may stand: it says so.
    """
    return await service.cancel(job_id, principal=principal)
