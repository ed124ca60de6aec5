"""What a slice says of its own health; `system` asks it every second and shows it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Status(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"  # works, but somebody should look
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Finding:
    """`detail` is for authenticated callers only."""

    status: Status
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HealthProbe:
    """Asked every second; one that raises or takes longer than `timeout_s` is unhealthy.

    `critical`: without it the service is not ready; else its fault makes the service degraded.
    """

    name: str
    check: Callable[[], Awaitable[Finding]]
    critical: bool = False
    timeout_s: float = 1.0


@runtime_checkable
class Probed(Protocol):
    """A service with probes of its own; `main` finds them by this."""

    def health_probes(self) -> tuple[HealthProbe, ...]: ...
