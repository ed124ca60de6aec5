"""The state of the schema, as servers and workers ask for it before they begin."""

from app.core.health import Finding, Status
from app.db import migrate
from app.system.repository import DatabaseWatch


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
