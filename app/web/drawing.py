"""What the plots are drawn from."""

import msgspec

from app.analytics.answers import Panel
from app.web.words import PERCENT


def drawn(panel: Panel) -> str:
    """The panel's columns as JSON, for a `data-` attribute; six digits are finer than any pixel."""
    columns = panel.columns
    text = msgspec.json.encode(
        {
            "metric": panel.metric,
            "percent": panel.metric in PERCENT,
            "interval": panel.interval,
            "overall": panel.overall.value,
            "x": columns.x,
            "n": columns.n,
            "labelled": columns.labelled,
            "value": _short(columns.value),
            "low": _short(columns.low),
            "high": _short(columns.high),
            "maturity": columns.maturity,
        }
    )
    return text.decode()


def _short(values: list[float | None]) -> list[float | None]:
    return [None if value is None else float(f"{value:.6g}") for value in values]
