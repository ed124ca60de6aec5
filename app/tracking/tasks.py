"""The jobs of tracking: recounts, upkeep, purges."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from app.core.clock import Clock
from app.db.engine import Database
from app.jobs.run import Run
from app.jobs.task import Task
from app.models.catalogue import Catalogue
from app.tracking.erasing.erase import Eraser
from app.tracking.erasing.purge import Purger
from app.tracking.erasing.service import KIND as PURGE
from app.tracking.rollups.features import Features
from app.tracking.rollups.rebuild import Difference, Rebuild
from app.tracking.rollups.service import RECOUNT
from app.tracking.rollups.upkeep import Upkeep

logger = logging.getLogger(__name__)

UPKEEP, CHECK = "upkeep", "rollups.check"
LISTED = 10
HOURLY = "7 * * * *"  # cheap when there is nothing to do: the day's work is done soon after midnight
WEEKLY = "40 3 * * 0"


def tasks(database: Database, clock: Clock, catalogue: Catalogue) -> tuple[Task, ...]:
    recounts = Recounting(catalogue, Rebuild(database, clock))
    upkeep = Upkeep(database, clock, catalogue)
    purging = Purging(catalogue, Eraser(database, clock, Features(database, clock, catalogue)), Purger(database))

    async def keep(run: Run) -> Mapping[str, Any]:
        return {"expired_labels": await upkeep.once()}

    return (
        Task(RECOUNT, recounts.one),
        Task(CHECK, recounts.all, cron=WEEKLY),
        Task(UPKEEP, keep, cron=HOURLY),
        Task(PURGE, purging.one),
    )


class Recounting:
    """Checks the statistics, and mends them where that is asked for."""

    def __init__(self, catalogue: Catalogue, rebuild: Rebuild) -> None:
        self._catalogue = catalogue
        self._rebuild = rebuild

    async def one(self, run: Run) -> Mapping[str, Any]:
        """`arguments`: `mend`."""
        facts = await self._catalogue.facts(str(run.job.model_id))
        await run.progress(0.0, "counting")
        found = await self._rebuild.check(facts)
        if not (found and run.job.arguments["mend"]):
            return {"differences": len(found), "mended": False, "first": _shown(found)}
        await run.progress(0.4, "mending", f"{len(found)} rows differ")
        left = await self._rebuild.mend(facts)
        return {"differences": len(found), "mended": not left, "first": _shown(found)}

    async def all(self, run: Run) -> Mapping[str, Any]:
        """Every model; mends nothing: what differs is a reason to look."""
        models = await self._catalogue.all()
        differing: dict[str, int] = {}
        for number, facts in enumerate(models):
            await run.progress(number / len(models), "counting", facts.model_id)
            if found := await self._rebuild.check(facts):
                logger.error("%s: %d rows of the statistics differ from the raw rows", facts.model_id, len(found))
                differing[facts.model_id] = len(found)
        return {"models": len(models), "differing": differing}


class Purging:
    """Erases subjects, predictions by their ids, or a whole model."""

    def __init__(self, catalogue: Catalogue, eraser: Eraser, purger: Purger) -> None:
        self._catalogue = catalogue
        self._eraser = eraser
        self._purger = purger

    async def one(self, run: Run) -> Mapping[str, Any]:
        """`arguments`: `subjects`, digests in hex, or null for everything; `ids`: how many were named."""
        facts = await self._catalogue.fresh(str(run.job.model_id))
        subjects = run.job.arguments["subjects"]
        if subjects is None:
            return await self._purger.model(run, facts)
        done = await self._eraser.subjects(run, facts, [bytes.fromhex(subject) for subject in subjects])
        if (ids := run.job.arguments.get("ids")) is None:
            return done
        return {**done, "unknown": ids - done["rows"] - done["waiting_labels"]}  # also what another took meanwhile


def _shown(found: Sequence[Difference]) -> list[dict[str, Any]]:
    return [{"table": row.table, "key": list(row.key), "values": row.entries} for row in found[:LISTED]]
