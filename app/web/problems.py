"""Where the `type` of a problem leads: what it means, for whoever got one."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from app.auth.guards import Public
from app.core.errors import NotFound, Problem
from app.web.assets import PREFIX
from app.web.endpoints import POLICY
from app.web.rendering import rendered

router = APIRouter(include_in_schema=False)


@router.get("/problems/{slug}", dependencies=[Public])
async def problem(slug: str) -> HTMLResponse:
    """The same for everybody; nothing of the request that failed is kept."""
    kind = Problem.kinds.get(slug)
    if kind is None:
        raise NotFound("there is no problem of this name")
    html = rendered("problem.html", problem=kind, static=PREFIX)
    return HTMLResponse(html, headers={"Content-Security-Policy": POLICY, "Cache-Control": "max-age=3600"})
