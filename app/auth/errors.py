"""What authentication and authorization answer."""

from typing import ClassVar

from app.core.errors import Problem

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="assay"'}  # what a 401 must have (RFC 9110, 15.5.2)
_OF_TOKENS = {**_CHALLENGE, "Cache-Control": "no-store"}  # as the answers that hold tokens: nobody keeps either


class Unauthenticated(Problem):
    """A valid access token or API key is needed.

    It goes into `Authorization: Bearer …`. Missing, malformed, expired and revoked ones are not told apart.
    """

    status = 401
    headers: ClassVar[dict[str, str]] = _CHALLENGE


class InvalidCredentials(Problem):
    """The account or the password is wrong.

    Which of the two is not told.
    """

    status = 401
    headers: ClassVar[dict[str, str]] = _OF_TOKENS


class InvalidRefreshToken(Problem):
    """The refresh token is not valid.

    It is unknown, expired, revoked or was used before; reuse ends the whole log-in. Log in again.
    """

    status = 401
    headers: ClassVar[dict[str, str]] = _OF_TOKENS


class NoLogIn(Problem):
    """An API key has no log-in that could end.

    `DELETE /api/v1/api-keys/{key_id}` revokes it.
    """

    status = 409


class Forbidden(Problem):
    """The caller lacks the scope of this operation.

    `scope` names it; the role × scope table is in the API's description.
    """

    status = 403


class ModelOutOfReach(Problem):
    """There is no such model, as far as this API key may know."""

    status = 404


class UserNotFound(Problem):
    """There is no such user."""

    status = 404


class ApiKeyNotFound(Problem):
    """There is no such API key."""

    status = 404


class GuessablePassword(Problem):
    """The password is easily guessed.

    It is a common one, or little more than a common one. Several random words are hard to guess and easy to keep.
    """

    status = 422


class EmailTaken(Problem):
    """Another user has this e-mail address."""

    status = 409


class LastAdmin(Problem):
    """The last active admin can be neither disabled nor given another role."""

    status = 409
