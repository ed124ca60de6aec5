"""What can be wrong with a request about jobs, and how a job itself can fail."""

from typing import Any

from app.core.errors import RETRY_AFTER, NotFound, Problem


class JobNotFound(NotFound):
    """There is no such job.

    Or it belongs to a model that is out of the caller's reach. Ended jobs are forgotten after 30 days.
    """

    status = 404


class JobEnded(Problem):
    """The job has ended already.

    What has ended can't be cancelled.
    """

    status = 409


class JobStreamsExhausted(Problem):
    """Too many clients follow jobs of this process.

    Ask for the job itself instead, or come again after `Retry-After` seconds.
    """

    status = 503
    carries = RETRY_AFTER


class JobFailed(Problem):
    """The job failed on our side.

    It was tried three times. Nothing of the cause is told here; the worker's log has it under the job's id.
    """

    status = 500


class WorkerLost(Problem):
    """The worker that ran the job went away.

    It happened three times, so the job was given up: it may need more memory than the worker has.
    """

    status = 500


def as_problem(error: Exception) -> dict[str, Any]:
    """What a job keeps of its failure; of an unknown error nothing but its kind."""
    problem = error if isinstance(error, Problem) else JobFailed(f"it ended with {type(error).__name__}")
    return {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        **problem.members,
    }
