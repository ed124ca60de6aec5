"""What can be asked for."""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints

from app.analytics.window import Bucket
from app.core import asked
from app.core.asked import Asked
from app.core.clock import from_datetime

Range = Literal["24h", "7d", "30d", "90d", "365d", "all"]

_SEGMENT = "one segment, as `key:value`; without: the whole"
_AS_OF = "what was known at this moment; without: now. The effective moment is echoed"

MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
ModelId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Version = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Segment = Annotated[str, StringConstraints(pattern=r"^[^:]{1,128}:", max_length=512)]
Level = Annotated[float, Field(ge=0.5, le=0.999, description="of the intervals")]
_NAIVE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")


FIRST_YEAR, LAST_YEAR = 1900, 2199  # nobody's predictions lie beyond, and sums over such spans stay small


def _reachable(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"must be of the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment


Moment = Annotated[asked.Moment, AfterValidator(_reachable)]


def _utc(value: object) -> object:
    """What a form's `datetime-local` field sends has no zone; on our pages it is UTC."""
    found = _NAIVE.fullmatch(value) if isinstance(value, str) else None
    return value if found is None else f"{value}{'' if found[1] else ':00'}Z"


def _left_open(value: object) -> object:
    """A form sends an empty text for what was not chosen."""
    return None if value == "" else value


class TrendAsked(Asked):
    metric: Annotated[MetricName | None, Field(description="without: accuracy; mae for regression")] = None
    interval: Annotated[
        Bucket | None,
        Field(
            description="width of a point; `minute` for the last 48 h only; without: hours, or days where hours are "
            "too many. The answer says which"
        ),
    ] = None
    from_: Annotated[
        Moment | None,
        Field(
            alias="from",
            description="first bucket; without: the oldest; of minutes: the last 2,000",
            examples=["2026-01-01T00:00:00Z"],
        ),
    ] = None
    to: Annotated[Moment | None, Field(description="end, exclusive; the bucket it falls into counts")] = None
    version: Annotated[Version | None, Field(description="one version; without: all")] = None
    segment: Annotated[Segment | None, Field(description=_SEGMENT, examples=["channel:web"])] = None
    as_of: Annotated[Moment | None, Field(description=_AS_OF)] = None
    level: Level = 0.95
    fill: Annotated[
        bool, Field(description="true: also buckets without predictions, so that points are evenly spaced")
    ] = False


class SummaryAsked(Asked):
    metrics: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z0-9_]+(,[a-z0-9_]+){0,15}$",
            description="names, comma-separated; without: what suits each task",
            examples=["accuracy,f1,roc_auc"],
        ),
    ] = None
    from_: Annotated[Moment | None, Field(alias="from", description="whole hours; without: all data")] = None
    to: Annotated[Moment | None, Field(description="end, exclusive; whole hours; without: now")] = None
    by_version: Annotated[bool, Field(description="a line for every version")] = False
    level: Level = 0.95


class BoardAsked(Asked):
    """Empty values count as left out, and a time without a zone as UTC: this is what a form sends."""

    model: Annotated[ModelId | None, BeforeValidator(_left_open), Field(description="without: the first one")] = None
    metric: Annotated[
        MetricName | None, BeforeValidator(_left_open), Field(description="without: accuracy; mae for regression")
    ] = None
    interval: Annotated[
        Bucket | None, BeforeValidator(_left_open), Field(description="without: the finest that is easy to read")
    ] = None
    range: Annotated[Range, Field(description="back from the newest prediction (or from `as_of`)")] = "90d"
    version: Annotated[Version | None, BeforeValidator(_left_open), Field(description="one version; without: all")] = (
        None
    )
    segment: Annotated[Segment | None, BeforeValidator(_left_open), Field(description=_SEGMENT)] = None
    as_of: Annotated[Moment | None, BeforeValidator(_utc), BeforeValidator(_left_open), Field(description=_AS_OF)] = (
        None
    )


class BoardDataAsked(BoardAsked):
    since: Annotated[
        Moment | None,
        Field(description="leaves out the columns' buckets before this one: what a client has already"),
    ] = None


def us(moment: AwareDatetime | None) -> int | None:
    return None if moment is None else from_datetime(moment)
