"""`assay check`: the statistics that stand against those that the raw rows give, and their repair."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from app.cli.accounts import on_database
from app.cli.console import attached, fail, note, notes, subcommands, tell
from app.cli.environment import load
from app.cli.hosting import address
from app.core.clock import SystemClock
from app.core.settings import Settings
from app.db.engine import Database
from app.models.catalogue import Catalogue
from app.models.errors import ModelNotFound
from app.models.facts import ModelFacts
from app.tracking.rollups.rebuild import Difference, Rebuild

commands = subcommands()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Found = list[tuple[ModelFacts, list[Difference]]]


@commands.command(epilog="Examples: assay check · assay check fraud · assay check fraud --mend")
def check(
    model: Annotated[str | None, typer.Argument(help="its id; left out: every model")] = None,
    mend: Annotated[bool, typer.Option("--mend", help="count what differs again from the raw rows")] = False,
) -> None:
    """Count everything again from the raw rows and list what differs; a server may go on meanwhile.

    Ends with 1 where something differs, with 0 where nothing does or it was mended.
    """

    async def work(here: Settings) -> Found:
        database = Database(address(here), here.database)
        await database.open()
        try:
            return await _found(database, model, mend=mend)
        finally:
            await database.close()

    try:
        found = on_database(load(), work)
    except ModelNotFound as problem:
        fail(problem.detail)
    if not any(differences for _, differences in found):
        note(f"{len(found)} models: the statistics are what the raw rows say")
        return
    tell(_rows(found), "model", "table", "version", "segment", "grain", "of", "known", "values", whole="model")
    if not mend:
        note("`assay check --mend` counts them again")
        raise typer.Exit(1)


async def _found(database: Database, model: str | None, *, mend: bool) -> Found:
    """What differs, by model; after mending it is checked once more. Raises `ModelNotFound`."""
    catalogue, rebuild = Catalogue(database), Rebuild(database, SystemClock())
    found = []
    for facts in await catalogue.all() if model is None else [await catalogue.facts(model)]:
        if attached():
            notes.print(f"{facts.model_id} …", markup=False)
        differences = await rebuild.check(facts)
        if differences and mend:
            if left := await rebuild.mend(facts):
                fail(f"{facts.model_id}: {len(left)} rows still differ after they were counted again")
            note(f"{facts.model_id}: mended")
        found.append((facts, differences))
    return found


def _rows(found: Found) -> Iterator[tuple[str, ...]]:
    for facts, differences in found:
        labels = {number: label for label, number in facts.versions.items()}
        for difference in differences:
            version, segment, grain, cohort, *arrival = difference.key  # of the triangle: tier, hour
            yield (
                facts.model_id,
                difference.table,
                labels.get(version, str(version)),
                str(segment) if segment else "all",
                f"{grain} s" if grain else "total",
                f"{EPOCH + timedelta(minutes=cohort):%Y-%m-%d %H:%M}" if grain else "–",
                f"{EPOCH + timedelta(hours=arrival[-1]):%Y-%m-%d %H:%M}" if arrival else "–",
                str(difference.entries),
            )
