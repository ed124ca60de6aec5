"""The audit over HTTP; it can only be read."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.audit.schemas import AuditAnswer, AuditAsked
from app.audit.service import AuditLog
from app.auth.guards import Scoped
from app.auth.principal import Principal
from app.core.errors import InvalidRequest
from app.core.http import responses
from app.core.provide import provided

router = APIRouter(tags=["audit"])


@router.get("/audit", summary="List what was done", responses=responses(InvalidRequest))
async def list_audit(
    _: Annotated[Principal, Scoped("audit:read")],
    asked: Annotated[AuditAsked, Query()],
    audit: Annotated[AuditLog, Depends(provided(AuditLog))],
) -> AuditAnswer:
    """The newest first: every change of users, keys, models and their lifecycle, and every log-in, also those refused.

    A row is written in the transaction of its change, and never changed or deleted. Closed hours are chained by hash:
    `assay audit verify` names each row that is not as it was. Ingest is not listed, imports are.
    """
    return AuditAnswer.of(await audit.page(asked.filters(), cursor=asked.cursor, limit=asked.limit))
