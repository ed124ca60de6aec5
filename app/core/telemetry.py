"""The catalogue of metrics. Labels take values from closed sets only: route templates, never paths.

With `PROMETHEUS_MULTIPROC_DIR` set before the process starts, all processes of a machine add up in any one's answer.
A process without it may tell what the processes of a folder counted beside its own (`tell_also`).
"""

import hmac
import os
from functools import lru_cache
from pathlib import Path

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from pydantic import SecretStr

from app.core import shared_metrics
from app.core.allocated import Allocated

CONTENT_TYPE = CONTENT_TYPE_LATEST
OTHER = "__other__"
MAX_MODELS = 500  # series per metric and model; more models share one label, so that a scrape stays bounded
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_models: set[str] = set()
_beside: list[Path] = []

SHARED = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) if os.environ.get("PROMETHEUS_MULTIPROC_DIR") else None
if SHARED is not None:  # before the first metric: each takes what stands here then
    _number = shared_metrics.claim(SHARED)
    values.MmapedDict = Allocated  # type: ignore[attr-defined,assignment]  # a name it imports
    values.ValueClass = values.MultiProcessValue(lambda: _number)  # type: ignore[no-untyped-call]

REQUESTS = Counter("assay_http_requests_total", "Answered requests.", ["method", "route", "status"])
DURATION = Histogram(
    "assay_http_request_duration_seconds",
    "From the request's head to the last byte of the answer.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_PROGRESS = Gauge("assay_http_requests_in_progress", "Requests under way.", multiprocess_mode="livesum")
LIMITED = Counter("assay_limited_total", "Requests refused by a limit.", ["limit"])
LIMIT_STORE_FAILURES = Counter("assay_limit_store_failures_total", "Times the store of the limits gave no answer.")
AUTHENTICATIONS = Counter("assay_authentications_total", "Attempts to log in or refresh.", ["kind", "outcome"])
HEALTH = Gauge(
    "assay_component_up",
    "1 healthy, 0.5 degraded, 0 unhealthy.",
    ["component"],
    multiprocess_mode="livemin",
)
PREDICTIONS = Counter("assay_predictions_total", "Predictions received.", ["model_id", "outcome"])
LABELS = Counter("assay_labels_total", "Labels received.", ["model_id", "outcome"])
EXPIRED_LABELS = Counter("assay_expired_labels_total", "Labels whose prediction never came.", ["model_id"])
FOLDED = Counter("assay_folded_deltas_total", "Deltas folded into rollups.")
FOLDING_LAG = Gauge(
    "assay_folding_lag_seconds", "Age of the oldest delta that is not folded.", multiprocess_mode="livemostrecent"
)
JOBS_STARTED = Counter("assay_jobs_started_total", "Attempts at jobs that were begun.", ["kind"])
JOBS_ENDED = Counter(
    "assay_jobs_ended_total", "Attempts at jobs that ended; also jobs cancelled before they began.", ["kind", "outcome"]
)
JOB_DURATION = Histogram(
    "assay_job_duration_seconds",
    "How long an attempt at a job took.",
    ["kind"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600),
)
JOBS_RESCUED = Counter("assay_jobs_rescued_total", "Jobs taken up again, whose worker or message was lost.")
JOBS_WAITING = Gauge(
    "assay_jobs_waiting", "Jobs that are due and not begun.", ["queue"], multiprocess_mode="livemostrecent"
)
OLDEST_WAITING_JOB = Gauge(
    "assay_oldest_waiting_job_seconds",
    "How long the oldest job that is not begun has been due.",
    ["queue"],
    multiprocess_mode="livemostrecent",
)


def model_label(model_id: str) -> str:
    """`model_id` as a label: the first `MAX_MODELS` that a process sees keep their name."""
    if model_id in _models:
        return model_id
    if len(_models) >= MAX_MODELS:
        return OTHER
    _models.add(model_id)
    return model_id


@lru_cache(maxsize=4096)  # looking a child up costs more than adding to it
def _answered(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@lru_cache(maxsize=1024)
def _took(method: str, route: str) -> Histogram:
    return DURATION.labels(method, route)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Counts one answer under its route's template."""
    known = method if method in _METHODS else "OTHER"
    _answered(known, route, status).inc()
    _took(known, route).observe(seconds)


def tell_also(folder: Path) -> None:
    """From here on this process also tells what those count that count into the folder."""
    _beside.append(folder)


def admits(token: SecretStr | None, authorization: str) -> bool:
    """Whether that header may see the metrics; without a token anybody may."""
    if token is None:
        return True
    scheme, _, given = authorization.partition(" ")  # in any case (RFC 9110, 11.1)
    fits = hmac.compare_digest(given.encode("latin-1"), token.get_secret_value().encode())
    return fits and scheme.lower() == "bearer"


def exposition() -> bytes:
    """Everything, in Prometheus' text format; takes milliseconds, more with many models."""
    return generate_latest(_everything())


def _everything() -> Collector:
    if SHARED is not None:
        return shared_metrics.registry(SHARED)
    return shared_metrics.Together(REGISTRY, _beside) if _beside else REGISTRY
