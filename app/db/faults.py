"""A database that is down, frozen or saturated is one thing to a caller: 503, try again."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import sqlalchemy.exc

from app.core.errors import Unavailable

RETRY_AFTER_S = 1


class NoneFree(Exception):  # noqa: N818
    """No connection of a pool came free in time."""


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
        cause = getattr(error.orig, "__cause__", None) or error.orig
        if isinstance(cause, _GONE) or error.connection_invalidated:
            raise _unavailable(cause) from error
        raise
    except _GONE as error:
        raise _unavailable(error) from error


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
        case _:
            return "the database does not answer just now"
