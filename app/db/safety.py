"""What of a database's own settings breaks our promises: that what was acknowledged stays, and that nobody walks in.

A power cut is needed to see it otherwise: after the kill of a process even `fsync=off` loses nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from app.core.errors import Problem
from app.core.settings import Settings
from app.db.engine import Database

_SETTINGS = text(
    "select name, setting from pg_settings where name in "
    "('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums', 'listen_addresses', 'data_directory')"
)
_MAY_READ_RULES = text("select has_function_privilege('pg_catalog.pg_hba_file_rules()', 'execute')")
_TRUST = text("select line_number from pg_hba_file_rules where type like 'host%' and auth_method = 'trust'")


class UnsafeDatabase(Problem):
    """The database may lose what it acknowledged, or lets anybody in.

    Production does not start on it. The message names each setting and how to mend it.
    """

    status = 503


@dataclass(frozen=True, slots=True)
class Shown:
    """What the database shows of itself to us; a setting that it hides is not there."""

    settings: dict[str, str]
    trusted_lines: Sequence[int] = ()  # of pg_hba.conf: who comes over TCP by them needs no password


async def look(database: Database) -> Shown:
    async with database.read() as session:
        settings = {row.name: row.setting for row in await session.execute(_SETTINGS)}
        may_read = bool(await session.scalar(_MAY_READ_RULES))
        lines = (await session.scalars(_TRUST)).all() if may_read else ()
    return Shown(settings, lines)


def dangers(shown: Shown, settings: Settings) -> Iterator[tuple[str, str]]:
    """Each danger by name, with the sentence for whoever must mend it."""
    for name in ("fsync", "full_page_writes"):
        if shown.settings.get(name) == "off":
            yield name, f"{name} is off: a power cut can destroy what was acknowledged. Set {name} = on"
    if shown.settings.get("synchronous_commit") == "off":
        yield (
            "synchronous_commit",
            "synchronous_commit is off: what was acknowledged can be lost. Set synchronous_commit = on",
        )
    if shown.settings.get("data_checksums") == "off" and _is_embedded(shown, settings):
        yield "data_checksums", "data_checksums is off: a bad disk would not be noticed. `pg_checksums --enable` it"
    if shown.trusted_lines and shown.settings.get("listen_addresses"):
        lines = ", ".join(map(str, shown.trusted_lines))
        yield "trust", f"pg_hba.conf trusts whoever comes over TCP (line {lines}). Say scram-sha-256 instead of trust"


async def demand_safe(database: Database, settings: Settings) -> None:
    """In production; raises `UnsafeDatabase`. What the settings accept as a risk is let through."""
    if not settings.production:
        return
    found = dict(dangers(await look(database), settings))
    refused = [sentence for name, sentence in found.items() if name not in settings.database.accepted_risks]
    if refused:
        raise UnsafeDatabase("; ".join(refused))


def _is_embedded(shown: Shown, settings: Settings) -> bool:
    folder = shown.settings.get("data_directory")
    return folder is not None and Path(folder) == (settings.data_dir / "postgres").resolve()
