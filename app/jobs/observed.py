"""What is counted of jobs, and the span of each attempt at one."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from opentelemetry.trace import SpanKind, StatusCode, Tracer

from app.core.spans import going_on
from app.core.telemetry import JOB_DURATION, JOBS_ENDED, JOBS_STARTED, JOBS_WAITING, OLDEST_WAITING_JOB
from app.jobs.job import Job
from app.jobs.repository import QUEUE, QueueState


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRIED = "retried"  # it failed or its worker was lost, and the job is queued again
    RELEASED = "released"  # queued again without a failure: its worker ends
    SUPERSEDED = "superseded"  # the job was another attempt's by then


@dataclass(slots=True)
class Attempt:
    """What came of an attempt; what is left by an error has let its job go."""

    outcome: Outcome = Outcome.RELEASED


@contextmanager
def attempted(job: Job, tracer: Tracer) -> Iterator[Attempt]:
    """Counts and times an attempt; its span goes on from the request that enqueued the job."""
    attempt, began = Attempt(), time.monotonic()
    JOBS_STARTED.labels(job.kind).inc()
    with tracer.start_as_current_span(
        f"job {job.kind}",
        context=going_on(job.traceparent),
        kind=SpanKind.CONSUMER,
        attributes={"assay.job_id": job.id, "assay.attempt": job.attempt, "assay.model_id": job.model_id or ""},
        record_exception=False,  # its text may hold what a caller sent
        set_status_on_exception=False,
    ) as span:
        try:
            yield attempt
        finally:
            span.set_attribute("assay.outcome", attempt.outcome)
            if attempt.outcome in (Outcome.FAILED, Outcome.RETRIED):
                span.set_status(StatusCode.ERROR)
            JOB_DURATION.labels(job.kind).observe(time.monotonic() - began)
            ended(job.kind, attempt.outcome)


def ended(kind: str, outcome: Outcome) -> None:
    JOBS_ENDED.labels(kind, outcome).inc()


def announce(kinds: Iterable[str]) -> None:
    """Begins every count at 0: of a series that begins at 1, Prometheus sees no increase, and alerts sleep."""
    for kind in kinds:
        JOBS_STARTED.labels(kind)
        for outcome in Outcome:
            JOBS_ENDED.labels(kind, outcome)


def measured(state: QueueState) -> None:
    """Tells how the queue stands."""
    JOBS_WAITING.labels(QUEUE).set(state.due)
    OLDEST_WAITING_JOB.labels(QUEUE).set(max(state.waited_s, 0.0))
