"""HTTP of health and metrics. Without credentials health is answered before it gets here (`core.edge`)."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.auth.errors import Unauthenticated
from app.auth.guards import Public, Recognised
from app.auth.principal import Principal
from app.core import telemetry
from app.core.edge import Prepared
from app.core.health import Status
from app.core.http import responses
from app.core.provide import provided
from app.core.settings import Settings
from app.system.health import Health

router = APIRouter(prefix="/system/health", tags=["system"])
metrics_router = APIRouter(tags=["system"])

METRICS = "/metrics"

HealthDep = Annotated[Health, Depends(provided(Health))]
SettingsDep = Annotated[Settings, Depends(provided(Settings))]


class ComponentAnswer(BaseModel):
    status: Status
    latency_ms: float = Field(description="how long the component took to answer", examples=[0.4])
    detail: str | None = Field(None, description="for authenticated callers only", examples=["answers"])


class HealthAnswer(BaseModel):
    """The state of this process and of what it stands on."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "healthy",
                "version": "0.1.0",
                "uptime_s": 86400.0,
                "components": {
                    "database": {"status": "healthy", "latency_ms": 0.4},
                    "migrations": {"status": "healthy", "latency_ms": 0.6},
                },
            }
        }
    )

    status: Status
    version: str
    uptime_s: float
    components: dict[str, ComponentAnswer]


class LivenessAnswer(BaseModel):
    status: Literal["alive"] = Field(examples=["alive"])


class ReadinessAnswer(BaseModel):
    status: Literal["ready", "unready", "starting", "draining"] = Field(examples=["ready"])


_ILL: dict[int | str, dict[str, Any]] = {
    503: {"model": HealthAnswer, "description": "A critical component is unhealthy"}
}
_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "Not ready",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ReadinessAnswer"},
                "example": {"status": "starting"},
            }
        },
    }
}


@router.get("", summary="Health", response_model=HealthAnswer, responses=_ILL)
async def health(caller: Annotated[Principal | None, Recognised], state: HealthDep) -> Response:
    """Every component's last word, at most a second old; 503 where a critical one is unhealthy.

    Authenticated callers see details too.
    """
    return _sent(state.public_report() if caller is None else state.report(details=True))


@router.get("/live", summary="Liveness", response_model=LivenessAnswer, dependencies=[Public])
async def live(state: HealthDep) -> Response:
    """Whether this process runs; nothing else is asked, so it never flaps."""
    return _sent(state.liveness())


@router.get("/ready", summary="Readiness", response_model=ReadinessAnswer, dependencies=[Public], responses=_UNREADY)
async def ready(state: HealthDep) -> Response:
    """Whether to send requests here: started, not draining, every critical component healthy."""
    return _sent(state.readiness())


@metrics_router.get(
    METRICS,
    summary="Metrics",
    dependencies=[Public],
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format",
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": "assay_http_requests_in_progress 1.0\n"}
            },
        },
        **responses(Unauthenticated),
    },
)
async def metrics(request: Request, settings: SettingsDep) -> Response:
    """All metrics of this machine's processes. With `ASSAY_METRICS__TOKEN` set, that token is needed as Bearer."""
    if not telemetry.admits(settings.metrics.token, request.headers.get("authorization", "")):
        raise Unauthenticated("metrics need the token of ASSAY_METRICS__TOKEN")
    return Response(await asyncio.to_thread(telemetry.exposition), media_type=telemetry.CONTENT_TYPE)


def _sent(ready_made: Prepared) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(ready_made.body, ready_made.status, headers, media_type="application/json")
