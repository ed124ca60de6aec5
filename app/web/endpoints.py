"""The dashboard: a shell that anybody may load, and fragments for those with a token."""

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from app.analytics.boards import Boards
from app.auth.guards import Public, Scoped
from app.auth.principal import Principal
from app.core.provide import provided
from app.web.assets import PREFIX
from app.web.drawing import drawn
from app.web.rendering import rendered
from app.web.schemas import PageAsked

router = APIRouter(include_in_schema=False)

BoardsDep = Annotated[Boards, Depends(provided(Boards))]
Reader = Annotated[Principal, Scoped("analytics:read")]
Asked = Annotated[PageAsked, Query()]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@cache
def _shell() -> str:
    return rendered("page.html", static=PREFIX)


@router.get("/", dependencies=[Public])
async def page() -> HTMLResponse:
    """The same bytes for everybody; what they show comes from the fragments."""
    return HTMLResponse(_shell(), headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})


@router.get("/ui/dashboard")
async def dashboard(request: Request, principal: Reader, asked: Asked, boards: BoardsDep) -> Response:
    """Everything below the bar. A refresh takes only the moving part of it."""
    board = await boards.board(principal, asked)
    shown = board.panel.model_id if board.panel else None
    query = asked.model_copy(update={"model": shown}).address()
    html = rendered(
        "dashboard.html",
        board=board,
        panel=board.panel,
        asked=asked,
        query=query,
        series=drawn(board.panel) if board.panel else "",
        origin=str(request.base_url).rstrip("/"),
    )
    return HTMLResponse(html, headers={"HX-Replace-Url": f"/?{query}" if query else "/", "Cache-Control": "no-store"})


@router.get("/ui/table")
async def table(principal: Reader, asked: Asked, boards: BoardsDep) -> Response:
    """The plot's points as rows, for those who want or need the numbers."""
    board = await boards.board(principal, asked)
    html = rendered("table.html", panel=board.panel)
    return HTMLResponse(html, headers={"Cache-Control": "no-store"})
