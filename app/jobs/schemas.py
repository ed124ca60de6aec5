"""A job over the wire."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.db.paging import PageAsked
from app.jobs.job import Job, JobStatus

PREFIX = "/api/v1/jobs"
_QUEUED: dict[str, Any] = {
    "job_id": "17",
    "status": "queued",
    "progress": {"fraction": 0.0, "stage": "", "message": ""},
    "links": {"self": f"{PREFIX}/17", "events": f"{PREFIX}/17/events"},
}
EXAMPLE: dict[str, Any] = {
    **_QUEUED,
    "status": "succeeded",
    "progress": {"fraction": 1.0, "stage": "compared", "message": ""},
    "kind": "rollups.check",
    "model_id": "fraud",
    "result": {"differences": 0},
    "error": None,
    "attempt": 1,
    "cancel_requested": False,
    "created_by": "user:1",
    "created_at": "2026-03-01T12:00:00Z",
    "started_at": "2026-03-01T12:00:00.1Z",
    "finished_at": "2026-03-01T12:00:02Z",
}


class Progress(BaseModel):
    model_config = ConfigDict(frozen=True)

    fraction: float = Field(ge=0, le=1, description="of the whole that is done")
    stage: str = Field(description="what is being done; empty before the first attempt says something")
    message: str


class Links(BaseModel):
    model_config = ConfigDict(frozen=True)

    self: str
    events: str = Field(description="the same as a stream of server-sent events")


class JobStarted(BaseModel):
    """What a request answers that began a job."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_QUEUED]})

    job_id: str
    status: JobStatus
    progress: Progress
    links: Links

    @classmethod
    def of(cls, job: Job) -> "JobStarted":
        return cls(**_of(job))


class JobAnswer(JobStarted):
    """A job as it stands. `error` is a problem (RFC 9457); while a job is queued again, that of the last attempt."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    kind: str
    model_id: str | None
    result: Any = Field(description="what it found or did; null until it has succeeded, but a purge counts as it goes")
    error: dict[str, Any] | None
    attempt: int = Field(description="number of the attempt, 0 before the first")
    cancel_requested: bool
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobAnswer":
        names = cls.model_fields.keys() - JobStarted.model_fields.keys()
        return cls(**_of(job), **{name: getattr(job, name) for name in names})


class JobsAsked(PageAsked):
    """Which jobs."""

    status: JobStatus | None = Field(None, description="only those that stand so")
    kind: str | None = Field(None, max_length=64, pattern=r"^[a-z_.]+$", description="only those of a kind")


class JobsAnswer(BaseModel):
    """A page of jobs, newest first."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"jobs": [EXAMPLE], "next_cursor": None}]})

    jobs: list[JobAnswer]
    next_cursor: str | None


def _of(job: Job) -> dict[str, Any]:
    at = f"{PREFIX}/{job.id}"
    return {
        "job_id": str(job.id),
        "status": job.status,
        "progress": Progress(fraction=job.fraction, stage=job.stage, message=job.message),
        "links": Links(self=at, events=f"{at}/events"),
    }
