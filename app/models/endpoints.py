"""The registry over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from app.auth.guards import Scoped
from app.auth.principal import Principal
from app.core.errors import InvalidRequest
from app.core.http import responses
from app.core.provide import provided
from app.db.paging import PageAsked
from app.idempotency.route import OnceRoute
from app.models.errors import (
    AliasNotFound,
    ModelArchived,
    ModelInUse,
    ModelNotFound,
    SetupMissing,
    UnknownVersion,
    VersionConflict,
    VersionNotFound,
)
from app.models.schemas import (
    Alias,
    AliasAnswer,
    AliasRequest,
    ModelAnswer,
    ModelId,
    ModelsAnswer,
    ModelsAsked,
    MonitorsAnswer,
    VersionAnswer,
    VersionLabel,
    VersionRequest,
    VersionsAnswer,
)
from app.models.service import ModelService

router = APIRouter(prefix="/models", tags=["models"])
once = APIRouter(route_class=OnceRoute)

Service = Annotated[ModelService, Depends(provided(ModelService))]
Reader = Annotated[Principal, Scoped("models:read")]
Writer = Annotated[Principal, Scoped("models:write")]
Model = Annotated[ModelId, Path(description="the model's public id", examples=["fraud_model_v2.0"])]
Version = Annotated[VersionLabel, Path(description="label of a version", examples=["1"])]
AliasName = Annotated[Alias, Path(description="`champion`, `challenger`, or a name of your own")]
Page = Annotated[PageAsked, Query()]


@router.get("", summary="List models", responses=responses(InvalidRequest))
async def list_models(principal: Reader, asked: Annotated[ModelsAsked, Query()], service: Service) -> ModelsAnswer:
    """The models that the caller may see, by id."""
    return await service.page(cursor=asked.cursor, limit=asked.limit, archived=asked.archived, principal=principal)


@router.get("/{model_id}", summary="Get a model", responses=responses(ModelNotFound, InvalidRequest))
async def get_model(model_id: Model, _: Reader, service: Service) -> ModelAnswer:
    """State, versions and aliases; archived models too."""
    return await service.get(model_id)


@router.delete(
    "/{model_id}",
    summary="Archive a model",
    responses=responses(ModelNotFound, ModelInUse, InvalidRequest),
)
async def archive_model(model_id: Model, principal: Writer, service: Service) -> ModelAnswer:
    """Ends the model's life. Its data stay readable until retention or a purge takes them; nothing new comes in.

    Refused while a version is in staging or production.
    """
    return await service.archive(model_id, principal=principal)


@router.get("/{model_id}/versions", summary="List versions", responses=responses(ModelNotFound, InvalidRequest))
async def list_versions(model_id: Model, _: Reader, asked: Page, service: Service) -> VersionsAnswer:
    """The versions of a model in order of registration, each with its state and where it may go."""
    return await service.versions(model_id, cursor=asked.cursor, limit=asked.limit)


@once.post(
    "/{model_id}/versions",
    status_code=201,
    summary="Register a version",
    responses={
        200: {"model": VersionAnswer, "description": "Registered before, with the same content"},
        **responses(ModelNotFound, VersionConflict, ModelArchived, InvalidRequest),
    },
)
async def register_version(
    model_id: Model, request: VersionRequest, principal: Writer, service: Service, response: Response
) -> VersionAnswer:
    """A new version in the state `registered`; its setup moves it to `tracking`. Repeating it changes nothing (200)."""
    answer, created = await service.register_version(model_id, request, principal=principal)
    response.status_code = 201 if created else 200
    return answer


@router.get(
    "/{model_id}/versions/{version}",
    summary="Get a version",
    responses=responses(ModelNotFound, VersionNotFound, InvalidRequest),
)
async def get_version(model_id: Model, version: Version, _: Reader, service: Service) -> VersionAnswer:
    """One version with its state, its aliases and the states it may go to."""
    return await service.version(model_id, version)


@router.put(
    "/{model_id}/aliases/{alias}",
    summary="Point an alias at a version",
    responses=responses(ModelNotFound, ModelArchived, UnknownVersion, SetupMissing, InvalidRequest),
)
async def put_alias(
    model_id: Model, alias: AliasName, request: AliasRequest, principal: Writer, service: Service
) -> AliasAnswer:
    """Predictions without a version belong to the `champion`, which must be set up. Where another version than before
    would answer for them, or be in production, this needs `deployments:promote`.
    """
    return await service.point(model_id, alias, request.version, principal=principal)


@router.delete(
    "/{model_id}/aliases/{alias}",
    summary="Remove an alias",
    responses=responses(ModelNotFound, AliasNotFound, ModelArchived, InvalidRequest),
)
async def delete_alias(model_id: Model, alias: AliasName, principal: Writer, service: Service) -> AliasAnswer:
    """Answers the aliases that are left."""
    return await service.unpoint(model_id, alias, principal=principal)


@router.get("/{model_id}/monitors", summary="List monitors", responses=responses(ModelNotFound, InvalidRequest))
async def list_monitors(model_id: Model, _: Reader, asked: Page, service: Service) -> MonitorsAnswer:
    """The limits that setup put on the model's versions."""
    return await service.monitors(model_id, cursor=asked.cursor, limit=asked.limit)


router.include_router(once)
