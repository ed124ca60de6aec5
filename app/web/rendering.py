"""Jinja, set up once: everything escaped, an undefined name is an error."""

import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.web import moments, steps, words

HERE = Path(__file__).parent
STATIC = HERE / "static"

RANGES = (
    ("24h", "newest 24 hours"),
    ("7d", "newest 7 days"),
    ("30d", "newest 30 days"),
    ("90d", "newest 90 days"),
    ("365d", "newest year"),
    ("all", "all"),
)

_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.filters.update(
    {
        "title_of": words.title_of,
        "short_of": words.short_of,
        "method_words": words.method_words,
        "figure": words.figure,
        "figures": words.figures,
        "span_of": words.span_of,
        "anytime": words.anytime,
        "count": words.count,
        "compact": words.compact,
        "share": words.share,
        "headline": words.headline,
        "why_empty": words.why_empty,
        "scale_of": words.scale_of,
        "stretch": words.stretch,
        "trust": words.trust,
        "chart_words": words.chart_words,
        "rows_of": words.rows_of,
        "next_step": steps.following,
        "moment": moments.moment,
        "field_time": moments.field_time,
        "lasting": moments.lasting,
    }
)
_environment.globals.update({"ranges": RANGES, "first_step": steps.first})


def rendered(template: str, **values: Any) -> str:
    return _environment.get_template(template).render(**values)


def fingerprint(folder: Path) -> str:
    """Twelve hexadecimal digits of all the files' names and contents: the address changes when a file does."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
