"""What requests ask with: times as RFC 3339 writes them, and no names that mean nothing."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _rfc3339(given: object) -> object:
    """Pydantic also takes numbers: 2026 would be some minutes of 1970."""
    if isinstance(given, datetime) or (isinstance(given, str) and _TIME.fullmatch(given)):
        return given
    raise ValueError("must be a time with its zone, as 2026-01-01T00:00:00Z (RFC 3339)")


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]


class Asked(BaseModel):
    """Query parameters; unknown ones are refused, also by pages, which are no operations of the API."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
