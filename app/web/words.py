"""Numbers as people read them, and what they mean in a sentence. Pure; the filters of the templates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.analytics.answers import MATURITIES, Board, Maturity, Overall, Panel, Standing
from app.core.clock import SECOND, rfc3339
from app.web import moments

PERCENT = frozenset(
    {"accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "f1_macro", "f1_weighted", "mape"}
)
TITLES = {
    "balanced_accuracy": "Balanced accuracy",
    "f1_macro": "F1 (macro)",
    "f1_weighted": "F1 (weighted)",
    "mcc": "Matthews correlation",
    "kappa": "Cohen’s kappa",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "ece": "Calibration error",
    "ece_debiased": "Calibration error beyond chance",
    "mae": "Mean absolute error",
    "mse": "Mean squared error",
    "rmse": "Root mean squared error",
    "r2": "R²",
    "mape": "Mean absolute percentage error",
}
NONE = "–"
FEW_LABELS = 30  # the interval of fewer is wider than most differences worth knowing
LOW_COVERAGE = 0.5  # with fewer labels, which rows got one may matter more than how many


class Ranged(Protocol):
    """A value between two ends."""

    @property
    def value(self) -> float | None: ...
    @property
    def ci_low(self) -> float | None: ...
    @property
    def ci_high(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Headline:
    """A model in one line of the list: its number, and the interval around it."""

    metric: str
    value: float | None
    interval: str


def title_of(metric: str) -> str:
    return TITLES.get(metric, metric.replace("_", " ").capitalize())


def short_of(metric: str) -> str:
    """The title where there is little room.

    >>> short_of("rmse"), short_of("accuracy")
    ('RMSE', 'Accuracy')
    """
    return metric.upper() if metric in {"mae", "mse", "rmse", "mape"} else title_of(metric)


def figure(value: float | None, metric: str) -> str:
    """
    >>> figure(0.8431, "accuracy"), figure(0.8431, "roc_auc"), figure(1234.5678, "rmse"), figure(None, "f1")
    ('84.3 %', '0.843', '1,235', '–')
    """
    number, unit = figures(value, metric)
    return f"{number} {unit}".strip()


def figures(value: float | None, metric: str) -> tuple[str, str]:
    """The number and its unit apart."""
    if value is None:
        return NONE, ""
    if metric in PERCENT:
        return f"{value * 100:.1f}", "%"
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"), ""


def between(low: float | None, high: float | None, metric: str) -> str:
    """
    >>> between(0.8, 0.9, "accuracy"), between(None, None, "accuracy")
    ('80.0 to 90.0 %', '–')
    """
    if low is None or high is None:
        return NONE
    (first, _), (last, unit) = figures(low, metric), figures(high, metric)
    return f"{first} to {last} {unit}".strip()


def span_of(row: Ranged, metric: str) -> str:
    return between(row.ci_low, row.ci_high, metric)


def anytime(overall: Overall, metric: str) -> str:
    return between(overall.anytime_low, overall.anytime_high, metric)


def count(value: int) -> str:
    return f"{value:,}"


def compact(value: int) -> str:
    """
    >>> [compact(n) for n in (7, 1_234, 336_776, 12_345_678)]
    ['7', '1.2 k', '337 k', '12.3 M']
    """
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.0f} {letter}" if scaled >= 100 else f"{scaled:.1f} {letter}"
    return str(value)


def share(value: float | None) -> str:
    """
    >>> [share(v) for v in (None, 0, 0.004, 0.5, 0.9999, 1)]
    ['–', '0 %', '< 1 %', '50 %', '> 99 %', '100 %']
    """
    if value is None:
        return NONE
    if 0 < value < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.99 < value < 1 else f"{value * 100:.0f} %"


def headline(model: Standing) -> Headline:
    """The first metric that the model has a value of; else its first one."""
    known = [(name, found) for name, found in model.metrics.items() if found is not None]
    for name, found in known:
        if found.value is not None:
            return Headline(name, found.value, span_of(found, name))
    return Headline(known[0][0] if known else "accuracy", None, "no labels")


def scale_of(rows: Sequence[Ranged]) -> Callable[[float], str]:
    """Maps values to 4 … 96 of a drawing that is 100 wide, so that all the rows fit."""
    ends = [end for row in rows for end in (row.ci_low, row.ci_high, row.value) if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    width = (high - low) or 1.0

    def place(value: float) -> str:
        return f"{min(100.0, max(0.0, 4 + 92 * (value - low) / width)):.2f}"

    return place


def stretch(panel: Panel) -> str:
    x = panel.columns.x
    return moments.stretch(x[0], x[-1]) if x else "no predictions"


def trust(panel: Panel) -> str:
    """How far to trust the headline, in words: on how many labels it rests, and which are still to come."""
    overall = panel.overall
    if not overall.n:
        return "Nothing was predicted in this range."
    if not overall.labelled:
        return "No label has come yet. Accuracy is known as soon as the first ones arrive."
    words = (
        f"Rests on {count(overall.labelled)} labels; {share(overall.label_coverage)} of the predictions have theirs."
    )
    if overall.labelled < FEW_LABELS:
        words += " That is few; expect it to move."
    elif (overall.label_coverage or 0) < LOW_COVERAGE:
        words += " Most have none, so it speaks for the labelled ones only."
    return f"{words} {_waiting(panel)}".strip()


def _waiting(panel: Panel) -> str:
    early = sum(1 for n, state in zip(panel.columns.n, panel.columns.maturity, strict=True) if n and state < 2)
    if not early:
        return "All labels that were to be expected are in."
    shown = sum(1 for n in panel.columns.n if n)
    return f"{count(early)} of {count(shown)} {panel.interval}s still wait for some of theirs."


def why_empty(board: Board, panel: Panel) -> str:
    """Why a model that has predictions shows none of them; empty where it shows some, or has none."""
    held = sum(model.n for model in board.models if model.model_id == panel.model_id)
    if panel.overall.n or not held:
        return ""
    if panel.interval == "minute":
        return "Minutes are kept for 48 hours, and this model's predictions are older. Choose hours or days."
    return "This model has predictions, but none of them in what was chosen. Reset shows them."


def method_words(panel: Panel) -> str:
    """What the numbers are, and what their intervals rest on."""
    meaning = panel.meta.note.split(";")[0]
    bands = f"Bands of single {panel.interval}s: {panel.meta.method}, for one look each"
    overall = panel.overall
    if overall.anytime_low is None:
        return f"{meaning} {bands}. The headline has no interval: {overall.assumption}."
    return f"{meaning} {bands}; headline: {overall.anytime_method}, at any time. Both assume: {overall.assumption}."


def chart_words(panel: Panel) -> str:
    """What a screen reader says of the plot; the table below it has every number."""
    values = [value for value in panel.columns.value if value is not None]
    if not values:
        return f"{title_of(panel.metric)} over time: no values yet"
    ends = f"from {figure(min(values), panel.metric)} to {figure(max(values), panel.metric)}"
    return (
        f"{title_of(panel.metric)} per {panel.interval}, {stretch(panel)}: {len(values)} values {ends}, "
        f"the newest {figure(values[-1], panel.metric)}. Arrow keys read the points one by one."
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A bucket as a line of the table."""

    start: str
    n: int
    labelled: int
    maturity: Maturity
    value: float | None
    ci_low: float | None
    ci_high: float | None


def rows_of(panel: Panel) -> list[Row]:
    """The buckets that hold predictions, newest first."""
    c = panel.columns
    found = zip(c.x, c.n, c.labelled, c.maturity, c.value, c.low, c.high, strict=True)
    rows = [
        Row(moments.moment(rfc3339(x * SECOND)), n, labelled, MATURITIES[state], value, low, high)
        for x, n, labelled, state, value, low, high in found
        if n
    ]
    return rows[::-1]
