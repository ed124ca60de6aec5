"""QUERY: an accuracy trend of 720 hourly points over HTTP, at two sizes; the summary of 100 models."""

from datetime import UTC, datetime, timedelta

import msgspec

from bench.labels import fill
from bench.load import drive, request
from bench.report import Line, show
from bench.rows import Rows
from bench.stage import Stage, database, served

REPEATS = 60
LABELLED = 100_000
MODELS = 100


def run(*, full: bool) -> None:
    sizes = (1_000_000, 10_000_000) if full else (100_000, 1_000_000)
    lines: list[Line] = []
    p50: dict[str, list[float]] = {}
    with database() as server, served(server.url) as stage:
        stage.model("bench")
        key = stage.key("predictions:write", "labels:write")
        stored = 0
        for size in sizes:
            fill(stage, key, stored, size)
            _label(stage, key, stored, min(size, stored + LABELLED))
            stored = size
            stage.settle()
            for name, path in _trends().items():
                outcome = drive(stage.port, [request("GET", path, stage.token)] * REPEATS, clients=1, expect=200)
                p50.setdefault(name, []).append(outcome.percentile(50))
                what = f"{name}, {size:,} predictions (p95 {outcome.percentile(95):.1f} ms)"
                lines.append(Line(what, f"p50 {p50[name][-1]:.1f} ms", "", p50[name][-1], 15, at_most=True))
        for name, (small, large) in p50.items():
            what = f"{name}, {sizes[1]:,} against {sizes[0]:,}"
            lines.append(Line(what, f"{large:.1f} ms", f"{small:.1f} ms", large / small, 1.2, at_most=True))
        lines += _summary(stage, key)
    show("QUERY over HTTP, one client", lines)


def _trends() -> dict[str, str]:
    now = datetime.now(UTC)
    start = (now - timedelta(hours=720)).replace(minute=0, second=0, microsecond=0)
    path = f"/api/v1/analytics/trends/bench?metric=accuracy&interval=hour&from={start:%Y-%m-%dT%H:%M:%SZ}"
    return {"trend of 720 points": path, "the same as of a past moment": f"{path}&as_of={now:%Y-%m-%dT%H:%M:%SZ}"}


def _label(stage: Stage, key: str, first: int, last: int) -> None:
    bodies = [Rows(edge, 10_000).labels() for edge in range(first, last, 10_000)]
    sent = [request("POST", "/api/v1/models/bench/labels", key, body) for body in bodies]
    drive(stage.port, sent, clients=2, expect=201)


def _summary(stage: Stage, key: str) -> list[Line]:
    for number in range(MODELS):
        stage.model(f"m{number:03d}")
        rows = Rows(0, 200, seed=number)
        for path, body in (("predictions", rows.columns()), ("labels", rows.labels())):
            drive(
                stage.port, [request("POST", f"/api/v1/models/m{number:03d}/{path}", key, body)], clients=1, expect=201
            )
    stage.settle()
    lines = []
    for name, path in {
        "summary": "/analytics/performance/summary",
        "dashboard data": "/analytics/dashboard/data",
    }.items():
        outcome = drive(
            stage.port, [request("GET", f"/api/v1{path}", stage.token)] * REPEATS, clients=1, expect=200, keep=1
        )
        msgspec.json.decode(outcome.bodies[0])
        tail = outcome.percentile(95)
        lines.append(Line(f"{name} of {MODELS} models", f"p95 {tail:.1f} ms", "", tail, 50, at_most=True))
    return lines
