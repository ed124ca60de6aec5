"""How storing and reading single predictions can fail; bodies that can't be read are in `decoding.errors`."""

from app.core.errors import RETRY_AFTER, NotFound, Problem


class PredictionNotFound(NotFound):
    """There is no such prediction.

    It was never stored, or retention has dropped it.
    """

    status = 404


class Overloaded(Problem):
    """More rows are waiting to be stored than the service takes.

    Nothing of the request was stored. Send it again after `Retry-After` seconds.
    """

    status = 503
    carries = RETRY_AFTER


class TooManyRetries(Problem):
    """Other requests with the same ids kept coming first.

    Nothing of the request was stored. Send it again after `Retry-After` seconds.
    """

    status = 503
    carries = RETRY_AFTER


class TooManySegmentKeys(Problem):
    """The model has more segment keys than are kept.

    Each `key:value` has statistics of its own. Send what is only to be found again as a feature.
    """

    status = 422
