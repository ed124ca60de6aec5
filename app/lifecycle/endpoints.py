"""Setup, status and update over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Response

from app.auth.guards import Scoped
from app.auth.principal import Principal
from app.core.errors import InvalidRequest
from app.core.headers import carrying
from app.core.http import responses
from app.core.provide import provided
from app.idempotency.route import OnceRoute
from app.lifecycle.answers import SetupAnswer, StatusAnswer
from app.lifecycle.errors import PreconditionMissing, SetupConflict, StaleRevision
from app.lifecycle.schemas import SetupRequest, UpdateRequest
from app.lifecycle.service import LifecycleService
from app.models.errors import IllegalMove, ModelArchived, ModelNotFound, SetupMissing, UnknownVersion
from app.models.schemas import ModelId

router = APIRouter(prefix="/models", tags=["lifecycle"])
once = APIRouter(route_class=OnceRoute)

Service = Annotated[LifecycleService, Depends(provided(LifecycleService))]
Reader = Annotated[Principal, Scoped("models:read")]
Writer = Annotated[Principal, Scoped("models:write")]
Model = Annotated[ModelId, Path(description="the model's public id", examples=["fraud_model_v2.0"])]
IfMatch = Annotated[str | None, Header(description="the `ETag` of the status that the change was decided upon")]


@once.post(
    "/{model_id}/tracking/setup",
    status_code=201,
    summary="Set a model or a version up",
    responses={
        201: carrying("ETag"),
        200: {
            "model": SetupAnswer,
            "description": "Set up before: unchanged, or its monitoring updated",
            **carrying("ETag"),
        },
        **responses(SetupConflict, ModelArchived, InvalidRequest),
    },
)
async def set_up_model(
    model_id: Model, request: SetupRequest, principal: Writer, service: Service, response: Response
) -> SetupAnswer:
    """Registers the model or a new version of it, fixes classes, split and schema, defines monitors and channels, and
    begins to track.

    The same call again changes nothing (200, `unchanged`); another `monitoring_config` is taken over (200, `updated`);
    anything else that differs is a conflict and needs a version of its own. Of a known model, what is left out is as
    it was. How long rows are kept, and which features they may have, holds for the rows of all versions: where rows are
    there, a shorter `retention_days` or a first `schema` needs the scope `purge`, and so does another `retention_days`
    than one that was stated.
    """
    answer, response.headers["ETag"] = await service.set_up(model_id, request, principal=principal)
    response.status_code = 201 if answer.outcome == "created" else 200
    return answer


# No 304 to If-None-Match: the tag is the lifecycle's, and the accuracy beside it moves without the tag.
@router.get(
    "/{model_id}/lifecycle/status",
    summary="See a model as a whole",
    response_model=StatusAnswer,
    responses={200: carrying("ETag"), **responses(ModelNotFound)},
)
async def lifecycle_status(model_id: Model, _: Reader, service: Service) -> Response:
    """State, versions, aliases, where it may go from here, its accuracy now and how much of the truth has arrived.

    The `ETag` changes when the lifecycle does, not when predictions or labels come in.
    """
    answer, tag = await service.status(model_id)
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json", headers={"ETag": tag})


@router.put(
    "/{model_id}/lifecycle/update",
    summary="Move a version to another state",
    responses={
        200: carrying("ETag"),
        **responses(
            ModelNotFound,
            IllegalMove,
            SetupMissing,
            ModelArchived,
            StaleRevision,
            PreconditionMissing,
            UnknownVersion,
            InvalidRequest,
        ),
    },
)
async def update_lifecycle(
    model_id: Model,
    request: UpdateRequest,
    principal: Writer,
    service: Service,
    response: Response,
    if_match: IfMatch = None,
) -> StatusAnswer:
    """`registered → tracking → training → validated → staging → production → deprecated → archived`, and by rollback
    from `staging` or `production` to `validated`. Without a `version`, the one moves whose state the model shows.

    A move into production needs `deployments:promote` and makes the version champion. A rollback needs
    `deployments:abort`, a move from `production` to `deprecated`, which nothing undoes, `deployments:manage`; both hand
    the champion back to the version that is still in production, if there is one.
    """
    answer, response.headers["ETag"] = await service.update(model_id, request, if_match=if_match, principal=principal)
    return answer


router.include_router(once)
