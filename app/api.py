"""The operations under /api/v1, slice by slice."""

from fastapi import APIRouter

from app.analytics import endpoints as analytics
from app.audit import endpoints as audit
from app.auth import endpoints as auth
from app.lifecycle import endpoints as lifecycle
from app.models import endpoints as models
from app.system import endpoints as system
from app.tracking import endpoints as tracking

PREFIX = "/api/v1"

router = APIRouter(prefix=PREFIX)
for slice_ in (system, auth, audit, models, tracking, lifecycle, analytics):
    router.include_router(slice_.router)
