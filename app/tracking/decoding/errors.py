"""How a body can be refused before its rows are looked at."""

from app.core.errors import Place, Problem


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


def malformed(code: str, why: str) -> MalformedBody:
    """Of a body of JSON as a whole."""
    return MalformedBody(f"The body is not JSON in UTF-8: {why}.", places=[Place("", code, why)])
