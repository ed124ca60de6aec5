"""The database as a command gets it: a given one, or the embedded server for as long as the command runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from app.core.settings import Settings
from app.db.embedded import EmbeddedServer, kept_in


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
    """The settings with `database.url` filled in; an embedded server ends with the last such block on its directory."""
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
