"""Static files under an address that carries their fingerprint, so that browsers may keep them for a year."""

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.web.rendering import STATIC, fingerprint

PREFIX = f"/static/{fingerprint(STATIC)}"
_A_YEAR = "public, max-age=31536000, immutable"


class Assets(StaticFiles):
    """Mounted at `PREFIX`."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in {200, 304}:
            response.headers["Cache-Control"] = _A_YEAR
        return response
