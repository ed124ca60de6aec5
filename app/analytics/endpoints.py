"""Analytics over HTTP. Answers carry an ETag; ask with `If-None-Match` and an unchanged one costs nothing."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.analytics import examples
from app.analytics.answers import Board, Summary, Trend
from app.analytics.boards import Boards, since
from app.analytics.conditional import UNCHANGED, IfNoneMatch, answered, tag, unchanged
from app.analytics.errors import StreamsExhausted, TooManyPoints, UnknownMetric, UnusableWindow
from app.analytics.feed import Feed
from app.analytics.schemas import BoardDataAsked, ModelId, SummaryAsked, TrendAsked, us
from app.analytics.service import Analytics
from app.auth.guards import Scoped
from app.auth.principal import Principal
from app.auth.streams import streamed
from app.core.errors import InvalidRequest
from app.core.headers import carrying
from app.core.http import responses
from app.core.provide import provided
from app.models.errors import ModelNotFound, UnknownVersion
from app.tracking.rollups.errors import UnknownSegment

router = APIRouter(prefix="/analytics", tags=["analytics"])

AnalyticsDep = Annotated[Analytics, Depends(provided(Analytics))]
BoardsDep = Annotated[Boards, Depends(provided(Boards))]
FeedDep = Annotated[Feed, Depends(provided(Feed))]
Reader = Annotated[Principal, Scoped("analytics:read")]

_REFUSALS = responses(
    ModelNotFound, InvalidRequest, UnknownMetric, UnknownVersion, UnknownSegment, UnusableWindow, TooManyPoints
)


def _shown(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Also that it may be unchanged."""
    return {200: {"content": {"application/json": {"example": example}}, **carrying("ETag")}, **UNCHANGED}


@router.get(
    "/trends/{model_id}",
    summary="A metric over time",
    response_model=Trend,
    responses={**_shown(examples.TREND), **_REFUSALS},
)
async def trend(
    request: Request,
    _: Reader,
    model_id: Annotated[ModelId, Path(description="the model's public id", examples=["m1"])],
    asked: Annotated[TrendAsked, Query()],
    analytics: AnalyticsDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Each bucket's metric on the labels that came, with its interval, its label coverage and how mature it is.

    Buckets are whole and in UTC; those without predictions are left out unless `fill=true`. At most 2,000 points. Bands
    of points are fixed-n; `overall` also has an interval that holds at any time. `as_of` answers what was known then.
    """
    question = await analytics.ask(model_id, asked)
    etag = tag(request, await analytics.state(question.facts))
    return unchanged(if_none_match, etag) or answered(await analytics.trend(question), etag)


@router.get(
    "/performance/summary",
    summary="All models at a glance",
    response_model=Summary,
    responses={**_shown(examples.SUMMARY), **responses(InvalidRequest, UnknownMetric, UnusableWindow)},
)
async def performance_summary(
    request: Request,
    principal: Reader,
    asked: Annotated[SummaryAsked, Query()],
    analytics: AnalyticsDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The models that the caller may see, by id, with the metrics asked for that their tasks have."""
    found = await analytics.summary(principal, asked)
    etag = tag(request, repr(found.models))
    return unchanged(if_none_match, etag) or answered(found, etag)


@router.get(
    "/dashboard/data",
    summary="What the dashboard draws",
    response_model=Board,
    responses={**_shown(examples.BOARD), **_REFUSALS},
)
async def dashboard_data(
    request: Request,
    principal: Reader,
    asked: Annotated[BoardDataAsked, Query()],
    boards: BoardsDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """All models, and one in full: columns for the plot, the headline, segments and versions. One call a refresh."""
    board = await boards.board(principal, asked)
    from_us = us(asked.since)
    if board.panel is not None and from_us is not None:
        board = replace(board, panel=replace(board.panel, columns=since(board.panel.columns, from_us)))
    etag = tag(request, repr((board.models, board.panel)))
    return unchanged(if_none_match, etag) or answered(board, etag)


@router.get(
    "/stream",
    summary="Changes as they come",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `rollups` with the models that changed; a comment as heartbeat",
            "content": {"text/event-stream": {"example": 'event: rollups\ndata: {"models":["m1"]}\n\n'}},
        },
        **responses(StreamsExhausted),
    },
)
async def stream(request: Request, principal: Reader, feed: FeedDep) -> StreamingResponse:
    """Says which models' rollups changed, a moment after each commit; carries no figures, so refresh what you show.

    Ends after 15 minutes, with the caller's right, and at a shutdown; then come again with a fresh token.
    """
    return streamed(request, feed.events(principal.models))
