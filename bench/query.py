"""QUERY: an accuracy trend of 720 hourly points over HTTP, of two models in turns, one with ten times the other's
predictions; the summary of 100 models."""

import statistics
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from bench.labels import fill
from bench.load import drive, request
from bench.report import Line, show
from bench.rows import Rows
from bench.stage import Stage, database, served

REPEATS = 60
ROUNDS = 6  # of each question to each model, in turns
LABELLED = 100_000
MODELS = 100


def run(*, full: bool) -> None:
    sizes = (1_000_000, 10_000_000) if full else (100_000, 1_000_000)
    lines: list[Line] = []
    with database() as server, served(server.url) as stage:
        key = stage.key("predictions:write", "labels:write")
        for model, first, size in (("small", 0, sizes[0]), ("large", sizes[0], sizes[1])):
            stage.model(model)
            fill(stage, key, first, first + size, model=model)
            _label(stage, key, first, first + LABELLED, model)
        stage.settle()
        for name in _trends("small"):
            lines += _compared(stage, name, sizes)
        lines += _summary(stage, key)
    show("QUERY over HTTP, one client", lines, f"sizes in turns, {ROUNDS} rounds of {REPEATS}; p50 and p95 are of all")


def _compared(stage: Stage, name: str, sizes: tuple[int, int]) -> list[Line]:
    """One question to both models; the ratio is the median of the rounds'."""
    took: dict[str, list[float]] = {"small": [], "large": []}
    ratios = []
    for _ in range(ROUNDS):
        p50 = {}
        for model, latencies in took.items():
            sent = [request("GET", _trends(model)[name], stage.token)] * REPEATS
            outcome = drive(stage.port, sent, clients=1, expect=200)
            latencies.extend(outcome.latencies_ms)
            p50[model] = outcome.percentile(50)
        ratios.append(p50["large"] / p50["small"])
    lines = []
    for size, all_ in zip(sizes, took.values(), strict=True):
        for share, limit in ((50, 15), (95, 30)):
            figure = float(np.percentile(all_, share))
            what = f"{name}, {size:,} predictions"
            lines.append(Line(what, f"p{share} {figure:.1f} ms", "", figure, limit, at_most=True))
    large, small = (statistics.median(took[model]) for model in ("large", "small"))
    ratio = statistics.median(ratios)
    what = f"{name}, {sizes[1]:,} against {sizes[0]:,}"
    return [*lines, Line(what, f"{large:.1f} ms", f"{small:.1f} ms", ratio, 1.2, at_most=True)]


def _trends(model: str) -> dict[str, str]:
    now = datetime.now(UTC)
    start = (now - timedelta(hours=720)).replace(minute=0, second=0, microsecond=0)
    path = f"/api/v1/analytics/trends/{model}?metric=accuracy&interval=hour&from={start:%Y-%m-%dT%H:%M:%SZ}"
    return {"trend of 720 points": path, "the same as of a past moment": f"{path}&as_of={now:%Y-%m-%dT%H:%M:%SZ}"}


def _label(stage: Stage, key: str, first: int, last: int, model: str) -> None:
    bodies = [Rows(edge, 10_000).labels() for edge in range(first, last, 10_000)]
    sent = [request("POST", f"/api/v1/models/{model}/labels", key, body) for body in bodies]
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
