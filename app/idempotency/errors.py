"""Why a request with an `Idempotency-Key` is not carried out."""

from app.core.errors import RETRY_AFTER, Problem


class KeyUsedOtherwise(Problem):
    """The `Idempotency-Key` was used for another request.

    Its operation, address or body differed. A new request needs a new key.
    """

    status = 422


class RequestUnderWay(Problem):
    """A request with this `Idempotency-Key` is under way.

    Ask again after `Retry-After` seconds: the answer will be that of the first.
    """

    status = 409
    carries = RETRY_AFTER


class AnswerLost(Problem):
    """The request was carried out, but its answer is lost.

    The process that made it ended before it was kept. Look for what it made; it will not be carried out again.
    """

    status = 409
