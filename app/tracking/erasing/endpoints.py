"""Purging over HTTP."""

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
from app.tracking.erasing.errors import ModelNotArchived
from app.tracking.erasing.schemas import PurgeRequest
from app.tracking.erasing.service import Purges

router = APIRouter(prefix="/models/{model_id}", tags=["tracking"], route_class=OnceRoute)


@router.post(
    "/purge",
    status_code=202,
    summary="Purge a model, some subjects or some predictions",
    responses=responses(ModelNotFound, ModelNotArchived, InvalidRequest, Unavailable),
)
async def purge(
    model_id: Annotated[ModelId, Path(description="the model's public id", examples=["fraud_model_v2.0"])],
    body: PurgeRequest,
    principal: Annotated[Principal, Scoped("purge")],
    service: Annotated[Purges, Depends(provided(Purges))],
) -> JobStarted:
    """Begins a job that takes raw rows away for good: of some subjects, some predictions, or all of an archived model.

    Of subjects, predictions, features and labels go; what they counted is taken back now and stands, anonymous, as of
    moments before. A retry of an erased prediction is refused as a conflict, a label for it is counted as `expired`.
    By `prediction_ids` it is the same, and labels that wait under one of them go too, before this answers: the job's
    result counts `rows`, `waiting_labels`, and as `unknown` the ids under which nothing is stored. A job that was
    cancelled, failed or is still running counts what is gone so far.
    """
    return await service.start(model_id, body, principal=principal)
