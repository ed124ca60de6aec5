"""A database that is down, frozen, saturated or does not let us in is one thing to a caller: 503, try again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import sqlalchemy.exc

from app.core.errors import Unavailable

RETRY_AFTER_S = 1


class NoneFree(Exception):  # noqa: N818
    """No connection of a pool came free in time."""


# Of role, password, pg_hba.conf or the database's name: whoever looks after them can mend it while we wait.
_REFUSALS = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
_GONE = (
    OSError,  # also TimeoutError: command_timeout and the wait for a connection
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut between two of its steps
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    sqlalchemy.exc.TimeoutError,  # SQLAlchemy's `NoneFree`
    NoneFree,
    *_REFUSALS,
)


@contextmanager
def as_unavailable(*, silent: bool = False) -> Iterator[None]:
    """Turns the driver's and the pool's ways to say "not now" into `Unavailable`; everything else passes through.

    `silent`: the database is known to give no answer, so nobody waits for one.
    """
    if silent:
        raise _unavailable()
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        cause = _of_driver(error)
        if isinstance(cause, _GONE) or error.connection_invalidated:
            raise _unavailable(cause) from error
        raise
    except _GONE as error:
        raise _unavailable(error) from error


def refused(problem: Unavailable) -> bool:
    """Whether the database answers, and does not let us in."""
    return isinstance(_of_driver(problem.__cause__), _REFUSALS)


def cause_of(error: BaseException | None) -> str:
    """What the driver says, or the system below it, in a line; for the log and the operator, not for callers."""
    cause = _of_driver(error.__cause__ if isinstance(error, Unavailable) else error)
    match cause:
        case None:
            return ""
        case TimeoutError(errno=None):
            return "no answer in time"
        case ConnectionError(errno=int(number)):
            return os.strerror(number)  # the driver's words repeat the address
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__
    return " ".join(text.split())


def _of_driver(error: BaseException | None) -> BaseException | None:
    """Without SQLAlchemy's additions, which show the statement."""
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        return getattr(error.orig, "__cause__", None) or error.orig
    return error


def _unavailable(cause: BaseException | None = None) -> Unavailable:
    return Unavailable(
        f"{_said(cause)}; nothing was acknowledged, send the request again",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _said(cause: BaseException | None) -> str:
    match cause:
        case NoneFree() | sqlalchemy.exc.TimeoutError():
            return "every connection to the database is in use"
        case asyncpg.DiskFullError():
            return "the database has no room left on its disk"
        case asyncpg.InvalidAuthorizationSpecificationError() | asyncpg.InvalidCatalogNameError():
            return "the database refuses the service"
        case _:
            return "the database does not answer just now"
