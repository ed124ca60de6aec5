"""How a body can be refused before its rows are looked at."""

from app.core.errors import Problem


class MalformedBody(Problem):
    """The body can't be read.

    It is not the format that its content type says: broken JSON, not UTF-8, nested too deeply, a cut Arrow stream.
    """

    status = 400


class TooManyRows(Problem):
    """The request has too many rows.

    Send several requests; `limit` says how many rows one may carry.
    """

    status = 413
