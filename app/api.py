"""The operations under /api/v1, slice by slice."""

from fastapi import APIRouter

from app.analytics import endpoints as analytics
from app.audit import endpoints as audit
from app.auth import endpoints as auth
from app.jobs import endpoints as jobs
from app.lifecycle import endpoints as lifecycle
from app.models import endpoints as models
from app.system import endpoints as system
from app.tracking import endpoints as tracking
from app.tracking.erasing import endpoints as erasing
from app.tracking.rollups import endpoints as rollups

PREFIX = "/api/v1"

router = APIRouter(prefix=PREFIX)
for slice_ in (system, auth, audit, models, tracking, rollups, erasing, lifecycle, analytics, jobs):
    router.include_router(slice_.router)
