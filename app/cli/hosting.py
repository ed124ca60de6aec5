"""The database as a command gets it: a given one, or the embedded server for as long as the command runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from app.cli.folder import in_folder
from app.core import dsn
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.db.embedded import EmbeddedServer, kept_in
from app.db.faults import cause_of


class NoDatabase(Exception):  # noqa: N818
    """Neither an address nor a database in the data directory; the message says where was looked and what to set."""


def must_exist(settings: Settings) -> None:
    """Refuses settings whose database would have to be made first. Raises `NoDatabase`."""
    if settings.database.url is None and not kept_in(settings.data_dir):
        raise NoDatabase(
            f"there is no database in {settings.data_dir.resolve()}. Set ASSAY_DATA_DIR=… to the data directory of the "
            "server (.assay in the folder where it was started), or ASSAY_DATABASE__URL=… to its database"
        )


@contextmanager
def hosted(settings: Settings) -> Iterator[Settings]:
    """The settings with `database.url` filled in; an embedded server ends with the last such block on its directory.

    Raises `Unavailable` in the operator's words where the block raises it in those for clients, and `UnusableFolder`.
    """
    try:
        with in_folder(settings.data_dir), _hosted(settings) as here:
            yield here
    except Unavailable as problem:
        raise Unavailable(told(settings, problem)) from problem.__cause__


def told(settings: Settings, problem: Unavailable) -> str:
    """Where the database was looked for, what was heard, and what says so; never with what password."""
    cause, url = cause_of(problem), settings.database.url
    if not cause:
        return problem.detail
    if url is None:
        return f"the database in {settings.data_dir.resolve()} can't be used just now: {cause}"
    where = dsn.read(url.get_secret_value())
    return f"the database at {where} can't be used: {cause}. {dsn.NAME} says where it is and who we are there"


@contextmanager
def _hosted(settings: Settings) -> Iterator[Settings]:
    if settings.database.url is not None:
        yield settings
        return
    server = EmbeddedServer(settings.data_dir, run_as=settings.database.run_as)
    try:
        server.start()  # inside, because a signal may come while it starts
        yield at(settings, server.url)
    finally:
        server.stop()


def at(settings: Settings, url: str) -> Settings:
    """The same settings on another database."""
    database = settings.database.model_copy(update={"url": SecretStr(url)})
    return settings.model_copy(update={"database": database})


def address(settings: Settings) -> str:
    """The URL inside `hosted`."""
    url = settings.database.url
    if url is None:
        raise ValueError("settings: no database; use it inside `hosted(settings)`")
    return url.get_secret_value()
