"""Which column of a file is what: told by options, else recognised by its name. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.cli.importing.errors import FileProblem


class Rows(StrEnum):
    """What the rows of the file are; also the last part of the address they are sent to."""

    PREDICTIONS = "predictions"
    LABELS = "labels"


# Field of the API -> names it goes by in people's files, likeliest first; compared in lower case, "-" and " " as "_".
NAMES: Mapping[Rows, Mapping[str, tuple[str, ...]]] = {
    Rows.PREDICTIONS: {
        "prediction_id": ("prediction_id", "inference_id", "request_id", "event_id", "id", "uuid"),
        "timestamp": ("timestamp", "predicted_at", "prediction_time", "event_time", "created_at", "time", "ts", "date"),
        "version": ("version", "model_version"),
        "predicted": ("predicted", "prediction", "predicted_class", "predicted_label", "y_pred"),
        "score": ("score", "probability", "proba", "predicted_score", "y_score", "p"),
        "subject": ("subject", "subject_id"),
    },
    Rows.LABELS: {
        "prediction_id": ("prediction_id", "inference_id", "request_id", "event_id", "id", "uuid"),
        "timestamp": (
            "timestamp",
            "labelled_at",
            "labeled_at",
            "label_time",
            "event_time",
            "created_at",
            "time",
            "ts",
            "date",
        ),
        "actual": ("actual", "label", "target", "ground_truth", "y_true", "truth", "outcome", "y"),
        "correction": ("correction", "is_correction"),
    },
}
REQUIRED: Mapping[Rows, tuple[str, ...]] = {
    Rows.PREDICTIONS: ("prediction_id",),
    Rows.LABELS: ("prediction_id", "actual"),
}
PREFIXES = {"scores": ("scores.", "scores_", "score_", "proba_"), "segment": ("segment.", "segment_", "segment:")}
FEATURE_PREFIXES = ("features.", "feature.", "feature_")


@dataclass(frozen=True, slots=True)
class Told:
    """What the options say; names are those of the file's columns."""

    fields: Mapping[str, str] = field(default_factory=dict)  # field of the API -> column
    scores: Mapping[str, str] = field(default_factory=dict)  # class -> column
    segments: Sequence[str] = ()
    features: Sequence[str] | None = None  # None: every column that is nothing else
    ignored: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """Every column that is sent, by what it is sent as."""

    rows: Rows
    fields: Mapping[str, str]
    scores: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)

    def columns(self) -> tuple[str, ...]:
        parts = (self.fields, self.scores, self.features, self.segments)
        return tuple(column for part in parts for column in part.values())

    def column_of(self, path: Sequence[str]) -> str:
        """The file's column behind a path of the request (`("features", "amount")`); the path where there is none."""
        match path:
            case ["scores", name]:
                return self.scores.get(name, name)
            case ["features", name]:
                return self.features.get(name, name)
            case ["segment", name]:
                return self.segments.get(name, name)
            case [name]:
                return self.fields.get(name, name)
            case _:
                return ".".join(path)


def recognise(rows: Rows, names: Sequence[str], told: Told, file: str) -> Layout:
    """The layout of a file with these columns. `FileProblem` where a column is missing or a needed one not found."""
    _must_exist(names, [*told.fields.values(), *told.scores.values(), *told.segments, *told.ignored], file)
    _must_exist(names, told.features or (), file)
    free = [name for name in names if name not in told.ignored]
    fields = dict(told.fields)
    spoken_for = {*fields.values(), *told.scores.values(), *told.segments, *(told.features or ())}
    for api_field, likely in NAMES[rows].items():
        column = None if api_field in fields else _first(free, likely, spoken_for)
        if column is not None:
            fields[api_field] = column
            spoken_for.add(column)
    for needed in REQUIRED[rows]:
        if needed not in fields:
            raise FileProblem(
                f"{file}: no column is the {needed}; columns: {', '.join(names)}. Name it by --column {needed}=COLUMN"
            )
    if rows is Rows.LABELS:
        return Layout(rows, fields)
    left = [name for name in free if name not in spoken_for]
    scores = dict(told.scores) or _prefixed(left, PREFIXES["scores"])
    if not (scores or fields.keys() & {"predicted", "score"}):
        raise FileProblem(
            f"{file}: no column is the predicted or the score; columns: {', '.join(names)}. "
            "Name one by --column score=COLUMN, as in --column score=p_fraud"
        )
    segments = {_bare(name, PREFIXES["segment"]): name for name in told.segments}
    segments |= _prefixed([name for name in left if name not in scores.values()], PREFIXES["segment"])
    taken = {*scores.values(), *segments.values()}
    chosen = told.features if told.features is not None else [name for name in left if name not in taken]
    return Layout(rows, fields, scores, {_bare(name, FEATURE_PREFIXES): name for name in chosen}, segments)


def _must_exist(names: Sequence[str], wanted: Iterable[str], file: str) -> None:
    for name in wanted:
        if name not in names:
            raise FileProblem(f"{file}: there is no column {name!r}; columns: {', '.join(names)}")


def _first(names: Sequence[str], likely: Sequence[str], taken: Iterable[str]) -> str | None:
    by_plain = {_plain(name): name for name in reversed(names) if name not in set(taken)}
    return next((by_plain[name] for name in likely if name in by_plain), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _prefixed(names: Sequence[str], prefixes: Sequence[str]) -> dict[str, str]:
    return {bare: name for name in names if (bare := _bare(name, prefixes)) != name}


def _bare(name: str, prefixes: Sequence[str]) -> str:
    for prefix in prefixes:
        if name.startswith(prefix) and len(name) > len(prefix):
            return name[len(prefix) :]
    return name
