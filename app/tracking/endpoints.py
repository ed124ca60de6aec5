"""Ingest over HTTP. Bodies are read raw: their form is the decoder's business, and there is no object per row."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.auth.guards import Scoped
from app.auth.principal import Principal
from app.core.bodies import whole
from app.core.direct import DirectRoute
from app.core.errors import InvalidRequest, Problem, Unavailable, UnsupportedMediaType
from app.core.exchange import exchange_of
from app.core.http import BodyTooLarge, responses
from app.core.limits import LargerThanLimit, TooManyRequests
from app.core.provide import provided
from app.models.errors import ModelArchived, ModelNotFound, TooManyClasses
from app.models.schemas import ModelId
from app.tracking import examples
from app.tracking.decoding.errors import MalformedBody, TooManyRows
from app.tracking.errors import Overloaded, PredictionNotFound, TooManyRetries, TooManySegmentKeys
from app.tracking.schemas import LabelsStored, PredictionSeen, PredictionsStored, Segments
from app.tracking.service import TrackingService

router = APIRouter(prefix="/models/{model_id}", tags=["tracking"])
ingest = APIRouter(route_class=DirectRoute)

Service = Annotated[TrackingService, Depends(provided(TrackingService))]
Model = Annotated[ModelId, Path(description="the model's public id", examples=["fraud_model_v2.0"])]
Imported = Annotated[
    bool,
    Query(
        alias="import",
        description="a back-fill or replay: each row was known at its own timestamp; needs `data:import` in addition. "
        'JSON bodies may say `"import": true` instead',
    ),
]
PredictionId = Annotated[str, Path(min_length=1, max_length=128, description="the id it was sent under")]

_REFUSALS = responses(
    ModelNotFound,
    ModelArchived,
    TooManyClasses,
    InvalidRequest,
    TooManySegmentKeys,
    MalformedBody,
    BodyTooLarge,
    TooManyRows,
    LargerThanLimit,
    UnsupportedMediaType,
    TooManyRequests,
    Unavailable,
    Overloaded,
    TooManyRetries,
)


def _stored(kind: type, example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"example": example}}
    return {201: {"model": kind, "description": "Durable; what became of each row", "content": content}, **_REFUSALS}


def _shown(example: dict[str, Any], *refusals: type[Problem]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}, **responses(*refusals)}


@ingest.post(
    "/predictions",
    status_code=201,
    summary="Send predictions",
    responses=_stored(PredictionsStored, {"accepted": 1, "duplicates": 0, "conflicts": [], "joined_labels": 0}),
    openapi_extra={"requestBody": examples.body("predictions", examples.PREDICTION)},
)
async def store_predictions(
    request: Request,
    model_id: Model,
    principal: Annotated[Principal, Scoped("predictions:write")],
    service: Service,
    imported: Imported = False,
) -> Response:
    """All rows or none are taken in; 201 means that they are on disk.

    `prediction_id` makes this safe to repeat: the same row again is a duplicate, the same id with another content a
    conflict, which is listed and not applied. The timestamp is not content. Labels that came first are joined now. Of a
    key that stands twice in an object the last counts.
    """
    body, kind = await whole(request.receive), request.headers.get("content-type", "")
    answer = await service.store_predictions(
        model_id, body, kind, imported=imported, principal=principal, exchange=exchange_of(request.scope)
    )
    return _created(answer)


@ingest.post(
    "/labels",
    status_code=201,
    summary="Send labels",
    responses=_stored(
        LabelsStored,
        {"accepted": 1, "joined": 1, "waiting": 0, "duplicates": 0, "conflicts": [], "corrected": 0, "expired": 0},
    ),
    openapi_extra={"requestBody": examples.body("labels", examples.LABEL)},
)
async def store_labels(
    request: Request,
    model_id: Model,
    principal: Annotated[Principal, Scoped("labels:write")],
    service: Service,
    imported: Imported = False,
) -> Response:
    """Labels may come at any time, in any order, also before their predictions: then they wait.

    The same value again is a duplicate, another one a conflict unless the row says `"correction": true`. Every value
    stays in the history, and the statistics follow the last. A label's timestamp may be of any age: it says when the
    truth was established, not when the label came. Where retention may have dropped the prediction, a label that finds
    none is counted as `expired` instead of waiting.
    """
    body, kind = await whole(request.receive), request.headers.get("content-type", "")
    answer = await service.store_labels(
        model_id, body, kind, imported=imported, principal=principal, exchange=exchange_of(request.scope)
    )
    return _created(answer)


router.include_router(ingest)


@router.get(
    "/predictions/{prediction_id:path}",
    summary="Get a prediction",
    responses=_shown(examples.PREDICTION_SEEN, ModelNotFound, PredictionNotFound, InvalidRequest),
)
async def get_prediction(
    model_id: Model,
    prediction_id: PredictionId,
    _: Annotated[Principal, Scoped("models:read")],
    service: Service,
) -> PredictionSeen:
    """As it was stored, with its features and every label it got; a label that waits for it is shown too."""
    return await service.prediction(model_id, prediction_id)


@router.get("/segments", summary="List segments", responses=_shown(examples.SEGMENTS, ModelNotFound, InvalidRequest))
async def list_segments(model_id: Model, _: Annotated[Principal, Scoped("models:read")], service: Service) -> Segments:
    """The segment keys that the model's predictions carried, with the values that have statistics of their own.

    A key keeps its first 64 values (`ASSAY_TRACKING__VALUES_PER_SEGMENT`); the rest is counted as `__other__`.
    """
    return await service.segments(model_id)


def _created(answer: PredictionsStored | LabelsStored) -> Response:
    return Response(msgspec.json.encode(answer), 201, media_type="application/json")
