"""Writes the pages of docs/ that follow from the code, and `.env.example`: `./dev docs`."""

from collections import defaultdict
from pathlib import Path

import msgspec
from prometheus_client.metrics import MetricWrapperBase

from app.cli.settings import example
from app.core import telemetry
from app.core.errors import Problem
from app.core.http import MEDIA_TYPE
from app.core.settings import Settings
from app.main import create_app
from app.system.openapi import operations

ROOT = Path(__file__).parents[1]
MANY = 8  # a problem that more operations can answer with is said to be common
MODES = {  # how the values of several processes become one
    "livesum": "sum",
    "livemin": "least",
    "livemostrecent": "latest",
}

PROBLEMS = """\
# Problems

Written by `./dev docs` from the error classes. Every error is an `application/problem+json` (RFC 9457). Its `type` is
one of these, and the service itself shows what it means at that address: `/problems/not-found`."""
METRICS = f"""\
# Metrics

Written by `./dev docs` from the catalogue in `app/core/telemetry.py`; `GET /metrics` tells them in Prometheus' text
format, of a server and, on `ASSAY_METRICS__WORKER_PORT`, of an `assay worker`. Labels have values of closed sets:
`route` is a template, never an address. Of each process the first {telemetry.MAX_MODELS} models are told apart; the
others share the `model_id` `{telemetry.OTHER}`. The last column says how the processes of one machine become one value.

| metric | kind | labels | meaning | together |
| --- | --- | --- | --- | --- |"""


def pages() -> dict[Path, str]:
    """Every generated file with its text."""
    return {
        ROOT / ".env.example": example(),
        ROOT / "docs/metrics.md": metrics(),
        ROOT / "docs/problems.md": problems(),
    }


def problems() -> str:
    parts = [PROBLEMS]
    answered = _answered_by()
    for slug, kind in sorted(Problem.kinds.items()):
        where = answered[slug]
        parts += [f"## {slug}", f"**{kind.status}** · {kind.title}.", kind.explanation]
        if 0 < len(where) <= MANY:
            parts.append("Answered by " + ", ".join(f"`{name}`" for name in sorted(where)) + ".")
    return "\n\n".join(filter(None, parts)) + "\n"


def _answered_by() -> dict[str, list[str]]:
    """Operations by the problem that their documentation shows."""
    settings = Settings(_env_file=None, database={"url": "postgresql://unused/unused"}, auth={"secret": "-" * 32})
    document = msgspec.json.decode(create_app(settings).state.openapi())
    found = defaultdict(list)
    for path, method, operation in operations(document):
        for answer in operation["responses"].values():
            for slug in answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}):
                found[slug].append(f"{method.upper()} {path}")
    return found


def metrics() -> str:
    catalogue = [metric for metric in vars(telemetry).values() if isinstance(metric, MetricWrapperBase)]
    lines = [_line(metric) for metric in sorted(catalogue, key=_name)]
    return "\n".join([METRICS, *lines]) + "\n"


def _line(metric: MetricWrapperBase) -> str:
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    together = MODES[metric._multiprocess_mode] if metric._type == "gauge" else "sum"
    return f"| `{_name(metric)}` | {metric._type} | {labels} | {metric._documentation} | {together} |"


def _name(metric: MetricWrapperBase) -> str:
    return metric._name + ("_total" if metric._type == "counter" else "")


def main() -> None:
    for path, text in pages().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
