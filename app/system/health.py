"""Health: every component is asked once a second in the background, and answers are bytes that stand ready."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from app import __version__
from app.core import telemetry
from app.core.edge import Gate, Phase, Prepared
from app.core.health import Finding, HealthProbe, Status

log = structlog.get_logger()

INTERVAL_S = 1.0
KEPT_S = 0.25
STALE_S = 4.0  # probes that no longer report are not trusted any more
_ALIVE = Prepared(200, b'{"status":"alive"}')
_NUMBER = {Status.HEALTHY: 1.0, Status.DEGRADED: 0.5, Status.UNHEALTHY: 0.0}


@dataclass(frozen=True, slots=True)
class Component:
    """A probe's last word; `latency_ms` is how long it took to say it."""

    status: Status
    latency_ms: float
    detail: str
    critical: bool
    at: float


class Health:
    """The state of this process and of what it stands on."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._started = time.monotonic()
        self._components: dict[str, Component] = {}
        self._kept = _ALIVE
        self._kept_until = 0.0

    async def watch(self, probes: Sequence[HealthProbe], stop: asyncio.Event) -> None:
        """Asks until `stop`; each probe on its own, so that a slow one holds up no other."""
        async with asyncio.TaskGroup() as group:
            for probe in probes:
                group.create_task(self._watch(probe, stop))

    async def ask(self, probe: HealthProbe) -> Component:
        """Asks one probe now, within its timeout."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(probe.timeout_s):
                finding = await probe.check()
        except TimeoutError:
            finding = Finding(Status.UNHEALTHY, f"no answer within {probe.timeout_s:g} s")
        except Exception as error:  # a probe that fails has said enough
            finding = Finding(Status.UNHEALTHY, type(error).__name__)
        now = time.monotonic()
        latency = round((now - begun) * 1000, 2)
        component = Component(finding.status, latency, finding.detail, probe.critical, now)
        self._note(probe.name, component)
        return component

    def _note(self, name: str, component: Component) -> None:
        before = self._components.get(name)
        self._components[name] = component
        telemetry.HEALTH.labels(name).set(_NUMBER[component.status])
        if before is not None and before.status is not component.status:
            log.warning("health changed", component=name, status=component.status, detail=component.detail)

    async def _watch(self, probe: HealthProbe, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.ask(probe)
            try:
                await asyncio.wait_for(stop.wait(), INTERVAL_S)
            except TimeoutError:
                continue

    def status(self) -> Status:
        """Unhealthy where a critical component is, or none has reported lately; degraded where any is not healthy."""
        parts = [self._judged(component) for component in self._components.values()]
        critical = [
            status for status, component in zip(parts, self._components.values(), strict=True) if component.critical
        ]
        if not critical or Status.UNHEALTHY in critical:
            return Status.UNHEALTHY
        return Status.HEALTHY if all(part is Status.HEALTHY for part in parts) else Status.DEGRADED

    def ready(self) -> bool:
        return self._gate.phase is Phase.RUNNING and self.status() is not Status.UNHEALTHY

    def report(self, *, details: bool) -> Prepared:
        """The full answer; `details` for callers we know."""
        status = self.status()
        components = {name: self._shown(component, details=details) for name, component in self._components.items()}
        body = {"status": status, **self._about(), "components": components}
        return Prepared(503 if status is Status.UNHEALTHY else 200, msgspec.json.encode(body))

    def public_report(self) -> Prepared:
        """`report` without details, made anew at most four times a second."""
        now = time.monotonic()
        if now >= self._kept_until:
            self._kept = self.report(details=False)
            self._kept_until = now + KEPT_S
        return self._kept

    def readiness(self) -> Prepared:
        ready = self.ready()
        phase = self._gate.phase
        refused = "unready" if phase is Phase.RUNNING else phase.value
        return Prepared(200 if ready else 503, msgspec.json.encode({"status": "ready" if ready else refused}))

    def liveness(self) -> Prepared:
        """This process runs its event loop, else nobody would answer; nothing else is asked."""
        return _ALIVE

    def _about(self) -> dict[str, object]:
        return {"version": __version__, "uptime_s": round(time.monotonic() - self._started, 1)}

    def _judged(self, component: Component) -> Status:
        stale = time.monotonic() - component.at > STALE_S
        return Status.UNHEALTHY if stale else component.status

    def _shown(self, component: Component, *, details: bool) -> dict[str, object]:
        shown: dict[str, object] = {"status": self._judged(component), "latency_ms": component.latency_ms}
        return {**shown, "detail": component.detail} if details else shown
