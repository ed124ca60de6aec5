"""`assay migrate`."""

from app.cli.console import fail, note, subcommands
from app.cli.environment import load
from app.cli.hosting import hosted
from app.cli.schema import Newer, NotUpgraded, upgrade
from app.cli.stopping import in_order
from app.core.errors import Unavailable
from app.db import migrate as migrations
from app.db.embedded import EmbeddedServerError

commands = subcommands()


@commands.command(epilog="Example: ASSAY_DATABASE__URL=postgresql://assay:secret@db/assay assay migrate")
def migrate() -> None:
    """Bring the database's schema to the newest revision; harmless where it is there already."""
    settings = load()
    try:
        with in_order(), hosted(settings) as here:
            upgrade(here)
    except Newer as newer:
        fail(f"{newer}: migrate with that code, or go on with this for as long as both run")
    except (EmbeddedServerError, NotUpgraded, Unavailable) as problem:
        fail(str(problem))
    note(f"the schema is at revision {migrations.newest()}")
