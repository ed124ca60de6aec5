"""What can be wrong with a question."""

from app.core.errors import RETRY_AFTER, Problem


class UnknownMetric(Problem):
    """This model's task has no such metric.

    `known` lists the metrics that the task has.
    """

    status = 422


class TooManyPoints(Problem):
    """The series would have more points than one answer carries.

    `interval` names the finest one that fits; null when even days don't, then `from` and `to` must move closer.
    """

    status = 422


class UnusableWindow(Problem):
    """The window of time can't be answered.

    It is empty or upside down, or asks for minutes that are no longer kept.
    """

    status = 422


class StreamsExhausted(Problem):
    """Too many clients follow the stream.

    Each process serves a bounded number; poll `GET /analytics/dashboard/data` with its ETag instead, or try later.
    """

    status = 503
    carries = RETRY_AFTER
