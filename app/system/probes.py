"""The components every process has: database, its schema, the store of the limits."""

from app.core.health import Finding, HealthProbe, Status
from app.core.limits import Limits
from app.db import migrate
from app.system.repository import DatabaseWatch

DATABASE_TIMEOUT_S = 1.5


class SchemaState:
    """Whether the database is at the revision this code was written for."""

    def __init__(self, watch: DatabaseWatch) -> None:
        self._watch = watch
        self._newest = migrate.newest()
        self._known = migrate.known()

    async def finding(self) -> Finding:
        """Newer is fine for a while (another version is being rolled out), older is not."""
        revision = await self._watch.revision()
        if revision == self._newest:
            return Finding(Status.HEALTHY, f"at {revision}")
        if revision is not None and revision not in self._known:
            return Finding(Status.DEGRADED, f"at {revision}, which newer code made")
        return Finding(Status.UNHEALTHY, f"at {revision or 'nothing'}, not {self._newest}: run `assay migrate`")


def own_probes(watch: DatabaseWatch, schema: SchemaState, limits: Limits) -> tuple[HealthProbe, ...]:
    async def database() -> Finding:
        await watch.ping()
        return Finding(Status.HEALTHY, "answers")

    async def limits_store() -> Finding:
        if await limits.alive():
            return Finding(Status.HEALTHY, "answers")
        return Finding(Status.DEGRADED, "no answer: log-in is refused, other limits are not counted")

    probes = (
        HealthProbe("database", database, critical=True, timeout_s=DATABASE_TIMEOUT_S),
        HealthProbe("migrations", schema.finding, critical=True, timeout_s=DATABASE_TIMEOUT_S),
    )
    return (*probes, HealthProbe("limits", limits_store)) if limits.shared else probes
