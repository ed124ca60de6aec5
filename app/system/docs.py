"""The API's documentation: the OpenAPI document, Swagger UI and Redoc, all from our own files.

Pages of people, so a policy of their own: scripts from here only, and the inline styles both tools write.
"""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from app.auth.guards import Public

OPENAPI = "/api/v1/openapi.json"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Assay API</title>
<link rel="icon" href="data:,">
{head}
</head>
<body>
{body}
</body>
</html>
"""
_SWAGGER_HEAD = '<link rel="stylesheet" href="{static}/vendor/swagger-ui/swagger-ui.css">'
_SWAGGER_BODY = """<div id="swagger-ui"></div>
<script src="{static}/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script src="{static}/docs/swagger.js"></script>"""
_REDOC_BODY = """<div id="redoc"></div>
<script src="{static}/vendor/redoc/redoc.standalone.js"></script>
<script src="{static}/docs/redoc.js"></script>"""


def router(static: str) -> APIRouter:
    """The pages; `static` is the address below which our files are served."""
    pages = APIRouter(include_in_schema=False)
    swagger_page = _PAGE.format(head=_SWAGGER_HEAD, body=_SWAGGER_BODY).format(static=static)
    redoc_page = _PAGE.format(head="", body=_REDOC_BODY).format(static=static)

    @pages.get("/docs", dependencies=[Public])
    async def swagger() -> HTMLResponse:
        return _page(swagger_page)

    @pages.get("/redoc", dependencies=[Public])
    async def redoc() -> HTMLResponse:
        return _page(redoc_page)

    @pages.get(OPENAPI, dependencies=[Public])
    async def openapi(request: Request) -> Response:
        """Made once; the bytes stand ready."""
        document: bytes = request.app.state.openapi()
        return Response(document, headers={"Cache-Control": "no-cache"}, media_type="application/json")

    return pages


def _page(html: str) -> HTMLResponse:
    return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})
