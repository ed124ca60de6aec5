"""The answers of analytics: frozen types that FastAPI documents and msgspec writes. What is undefined is None."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Maturity = Literal["provisional", "maturing", "final"]
MATURITIES: tuple[Maturity, ...] = ("provisional", "maturing", "final")

Count = Annotated[int, Field(ge=0)]
Number = float | None


@dataclass(frozen=True, slots=True)
class Estimated:
    """An estimate made before labels come."""

    value: Number
    ci_low: Number
    ci_high: Number
    method: str


@dataclass(slots=True)
class Point:
    """One bucket. Not frozen: 2,000 of them are built per answer, and a frozen dataclass costs three times as much."""

    bucket: Annotated[str, Field(description="start of the bucket", examples=["2026-01-01T00:00:00Z"])]
    n: Annotated[int, Field(description="predictions made in the bucket")]
    labelled: Annotated[int, Field(description="those whose label is known at `as_of`")]
    label_coverage: Annotated[Number, Field(description="labelled / n; null at n = 0")]
    maturity: Annotated[
        Maturity,
        Field(description="how many of the labels expected for this bucket have come: final ≥ 99 %, maturing ≥ 50 %"),
    ]
    value: Annotated[Number, Field(description="the plain metric on the labels that came; null where undefined")]
    ci_low: Number
    ci_high: Number
    error_bound: Annotated[
        Number, Field(description="metrics from histograms: the value on raw rows lies within ± this; else null")
    ]
    estimated: Annotated[Estimated | None, Field(description="label-free estimate; null where there is none")]


@dataclass(frozen=True, slots=True)
class Overall:
    """All labels of the window together, with a fixed-n and an anytime-valid interval."""

    n: Count
    labelled: Count
    label_coverage: Number
    value: Number
    ci_low: Number
    ci_high: Number
    anytime_low: Annotated[Number, Field(description="holds at every look, however often; wider than ci_low")]
    anytime_high: Number
    method: Annotated[str, Field(description="of ci_low and ci_high")]
    anytime_method: str
    assumption: Annotated[str, Field(description="what the anytime interval rests on; without one: why")]
    error_bound: Number


@dataclass(frozen=True, slots=True)
class Meta:
    """What holds for the whole series, said once."""

    method: Annotated[str, Field(description="of the points' intervals")]
    assumption: str
    validity: Annotated[str, Field(description="for how many looks the intervals hold")]
    note: Annotated[str, Field(description="the metric's definition and edge cases")]
    buckets: Annotated[str, Field(description="which buckets the series has")]
    direction: Annotated[str, Field(description="`higher` or `lower` is better; `zero` is best for a bias")]


@dataclass(frozen=True, slots=True)
class Delay:
    """How long labels take, in seconds; from the delays of all labels seen (Kaplan-Meier)."""

    median_s: Number
    p99_s: Number
    expected: Annotated[
        Number, Field(description="share of predictions that get a label in the end; null while that can't be seen yet")
    ]


@dataclass(frozen=True, slots=True)
class Trend:
    """A metric over time."""

    model_id: str
    metric: str
    interval: Literal["minute", "hour", "day"]
    version: Annotated[str | None, Field(description="null: all versions")]
    segment: Annotated[str | None, Field(description="`key:value`; null: the whole")]
    as_of: Annotated[str, Field(description="what was known at this moment; the effective one")]
    level: float
    points: list[Point]
    overall: Overall
    delay: Delay
    meta: Meta


@dataclass(frozen=True, slots=True)
class MetricValue:
    value: Number
    ci_low: Number
    ci_high: Number
    n: Annotated[int, Field(description="rows that the metric rests on")]
    method: str
    error_bound: Number


@dataclass(frozen=True, slots=True)
class Standing:
    """A model (or one version of it) at a glance."""

    model_id: str
    version: Annotated[str, Field(description="the version; without `by_version` the one that predictions go to")]
    task: str
    n: Count
    labelled: Count
    label_coverage: Number
    metrics: Annotated[
        dict[str, MetricValue], Field(description="those of the asked metrics that the model's task has")
    ]


@dataclass(frozen=True, slots=True)
class Summary:
    """All models at a glance."""

    models: list[Standing]
    as_of: str
    level: float
    meta: Meta


@dataclass(frozen=True, slots=True)
class Columns:
    """A trend as columns of one length, every bucket of the window in order: what a plot wants."""

    x: Annotated[list[int], Field(description="start of the bucket, seconds since the Unix epoch")]
    n: list[int]
    labelled: list[int]
    value: list[Number]
    low: list[Number]
    high: list[Number]
    maturity: Annotated[list[int], Field(description="0 provisional, 1 maturing, 2 final")]


@dataclass(frozen=True, slots=True)
class Slice:
    """A version or a segment beside its siblings, over the same window."""

    name: str
    n: Count
    labelled: Count
    label_coverage: Number
    value: Number
    ci_low: Number
    ci_high: Number


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be asked of this model."""

    metrics: list[str]
    versions: list[str]
    segments: list[str]


@dataclass(frozen=True, slots=True)
class Panel:
    """One model in full."""

    model_id: str
    task: str
    default_version: str
    metric: str
    interval: Literal["minute", "hour", "day"]
    range: str
    version: str | None
    segment: str | None
    level: float
    columns: Columns
    overall: Overall
    delay: Delay
    segments: list[Slice]
    versions: list[Slice]
    choices: Choices
    meta: Meta


@dataclass(frozen=True, slots=True)
class Board:
    """What the web page draws, in one answer."""

    models: list[Standing]
    panel: Annotated[Panel | None, Field(description="the model asked for, else the first; null when there is none")]
    as_of: str
    level: float
