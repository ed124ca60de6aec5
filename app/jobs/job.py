"""A job: what is to be done, how far it is, how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be enqueued. Of one with a `single` name no second is made while the first is queued or running."""

    kind: str
    created_by: str  # a principal's subject, or "schedule"
    arguments: Mapping[str, Any]  # JSON
    model_id: str | None = None
    single: str | None = None
    done: Mapping[str, int] | None = None  # what the request has done of it already: `Run.count` goes on from there


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. `attempt` is its fencing token: who holds an older one may write nothing more."""

    id: int
    kind: str
    status: JobStatus
    revision: int  # grows with everything that a follower wants to hear
    arguments: Mapping[str, Any]
    model_id: str | None
    attempt: int
    failures: int
    cancel_requested: bool
    fraction: float
    stage: str
    message: str
    result: Any
    error: Mapping[str, Any] | None  # a problem
    created_by: str
    traceparent: str | None  # of the request that enqueued it (W3C Trace Context), where it was traced
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.status in ENDED
