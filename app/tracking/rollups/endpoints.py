"""Recounts over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from app.auth.guards import Scoped
from app.auth.principal import Principal
from app.core.errors import InvalidRequest, Unavailable
from app.core.http import responses
from app.core.provide import provided
from app.idempotency.route import OnceRoute
from app.jobs.schemas import JobStarted
from app.models.errors import ModelNotFound
from app.models.schemas import ModelId
from app.tracking.rollups.schemas import RecountRequest
from app.tracking.rollups.service import Recounts

router = APIRouter(prefix="/models/{model_id}", tags=["tracking"], route_class=OnceRoute)


@router.post(
    "/recount",
    status_code=202,
    summary="Check the statistics against the raw rows",
    responses=responses(ModelNotFound, InvalidRequest, Unavailable),
)
async def recount(
    model_id: Annotated[ModelId, Path(description="the model's public id", examples=["fraud_model_v2.0"])],
    body: RecountRequest,
    principal: Annotated[Principal, Scoped("system:operate")],
    service: Annotated[Recounts, Depends(provided(Recounts))],
) -> JobStarted:
    """Begins a job that counts everything again from the raw rows and lists what differs; ingest goes on meanwhile.

    With `"mend": true` what differs is replaced by what the raw rows say, and checked once more.
    """
    return await service.start(model_id, mend=body.mend, principal=principal)
