"""What was predicted and what came true, as numbers: names become indexes, a class left out follows the scores."""

import numpy as np
from numpy.typing import NDArray

from app.core.errors import MAX_PLACES
from app.models.facts import ModelFacts
from app.stats.tally import LARGEST, Task, outside
from app.tracking.batch import MISSING, Coded, LabelBatch, PredictionBatch
from app.tracking.decoding.texts import MAX_NAME, flaw
from app.tracking.places import Findings

NAMED = 10  # classes that a refusal names
SUM_TOLERANCE = 1e-6  # of a row of probabilities, which sum to 1

Floats = NDArray[np.float64]
Indexes = NDArray[np.int32]
Path = tuple[str, ...]
Outcomes = tuple[Indexes, Indexes, Floats, Floats | None, tuple[str, ...]]
_PROBABILITY = ("out_of_range", "must be a probability between 0 and 1")


class _Classes:
    """Class names by index, the model's first; where it allows new ones they are numbered on as they come."""

    def __init__(self, facts: ModelFacts) -> None:
        self._known = len(facts.classes)
        self._open = facts.allow_new_classes and facts.task is not Task.BINARY  # a third class has no place there
        self._index = dict(zip(facts.classes, range(self._known), strict=True))

    @property
    def new(self) -> tuple[str, ...]:
        return tuple(self._index)[self._known :]

    def __len__(self) -> int:
        return len(self._index)

    def number(self, label: str) -> int | tuple[str, str]:
        """The index, or code and message of why there is none."""
        index = self._index.get(label)
        if index is not None:
            return index
        if not self._open:
            return "unknown_class", f"is not a class of this model, which has {_named(tuple(self._index))}"
        return flaw(label, MAX_NAME) or self._index.setdefault(label, len(self._index))

    def indexes(self, column: Coded, path: Path, findings: Findings) -> Indexes:
        """The index of each row's class, MISSING where it has none."""
        table, wrong = [], 0
        for code, label in enumerate(column.values):
            index = self.number(label)
            if isinstance(index, tuple):
                wrong += 1
                if wrong <= MAX_PLACES + 1:  # values stand in the order of their first rows
                    findings.where(column.codes == code, path, *index)
                index = 0
            table.append(index)
        return np.array([*table, MISSING], np.int32)[column.codes]  # MISSING, which is −1, picks the last


def _named(classes: tuple[str, ...]) -> str:
    """The first ten; a refusal is no list."""
    more = len(classes) - NAMED
    return ", ".join(classes[:NAMED]) + (f" and {more} more" if more > 0 else "")


def outcomes(batch: PredictionBatch, facts: ModelFacts, findings: Findings) -> Outcomes:
    """Predicted class (0 for regression), the same as sent, score, scores and new classes.

    What a row lacks is NaN, and MISSING in the class as sent.
    """
    classes = _Classes(facts)
    scores = None
    match facts.task:
        case Task.BINARY:
            predicted, sent, score = _binary(batch, facts, classes, findings)
        case Task.MULTICLASS:
            predicted, sent, scores = _multiclass(batch, classes, findings)
            score = np.full(len(batch), np.nan)
        case Task.REGRESSION:
            predicted = sent = np.zeros(len(batch), np.int32)
            score = _regression(batch, findings)
    return predicted, sent, score, scores, classes.new


def actuals(batch: LabelBatch, facts: ModelFacts, findings: Findings) -> tuple[Floats, tuple[str, ...]]:
    """Class index or value of each label, and new classes."""
    if isinstance(batch.actual, Coded):
        classes = _Classes(facts)
        return classes.indexes(batch.actual, ("actual",), findings).astype(np.float64), classes.new
    sized(batch.actual, ("actual",), findings)
    return batch.actual, ()


def _binary(
    batch: PredictionBatch, facts: ModelFacts, classes: _Classes, findings: Findings
) -> tuple[Indexes, Indexes, Floats]:
    if batch.score is None:
        score = np.full(len(batch), np.nan)
    else:
        score = batch.score
        if np.fmin.reduce(score) < 0 or np.fmax.reduce(score) > 1:  # these two pass over NaN
            findings.where((score < 0) | (score > 1), ("score",), *_PROBABILITY)
    sent = None if batch.predicted is None else classes.indexes(batch.predicted, ("predicted",), findings)
    if sent is not None and not (sent == MISSING).any():
        return sent, sent, score
    # NaN reaches no threshold; such a row without a class is refused below
    decided = np.where(score >= _thresholds(batch, facts), facts.positive, 1 - facts.positive).astype(np.int32)
    lacking = np.isnan(score) if sent is None else np.isnan(score) & (sent == MISSING)
    findings.where(lacking, ("predicted",), "missing", "needs predicted, score or both")
    if sent is None:
        return decided, _none(batch), score
    return np.where(sent == MISSING, decided, sent), sent, score


def _thresholds(batch: PredictionBatch, facts: ModelFacts) -> float | Floats:
    """The threshold of each row's version; one number where all have the same."""
    of = [facts.thresholds.get(label, facts.threshold) for label in (*batch.version.values, facts.default_version)]
    return of[-1] if len(set(of)) == 1 else np.array(of)[batch.version.codes]  # MISSING (−1) picks the last


def _multiclass(
    batch: PredictionBatch, classes: _Classes, findings: Findings
) -> tuple[Indexes, Indexes, Floats | None]:
    sent = None if batch.predicted is None else classes.indexes(batch.predicted, ("predicted",), findings)
    scores = None if batch.scores is None else _aligned(batch.scores, batch.score_classes, classes, findings)
    if sent is not None and not (sent == MISSING).any():
        return sent, sent, scores
    if scores is None:
        best, lacking = np.zeros(len(batch), np.int32), np.ones(len(batch), np.bool_)
    else:
        lacking = np.isnan(scores[:, 0])
        best = np.where(lacking, 0, np.argmax(np.nan_to_num(scores), axis=1)).astype(np.int32)
    if sent is not None:
        lacking &= sent == MISSING
        best = np.where(sent == MISSING, best, sent)
    findings.where(lacking, ("predicted",), "missing", "needs predicted, scores or both")
    return best, _none(batch) if sent is None else sent, scores


def _none(batch: PredictionBatch) -> Indexes:
    return np.full(len(batch), MISSING, np.int32)


def _aligned(scores: Floats, names: tuple[str, ...], classes: _Classes, findings: Findings) -> Floats:
    """The probabilities in the order of the classes; a class that a row with others doesn't name has 0."""
    absent = np.isnan(scores)
    none = absent.all(axis=1)
    filled = np.where(absent, 0.0, scores)
    places = []
    for column, name in enumerate(names):
        findings.where((filled[:, column] < 0) | (filled[:, column] > 1), ("scores", name), *_PROBABILITY)
        index = classes.number(name)
        if isinstance(index, tuple):
            findings.where(~absent[:, column], ("scores", name), *index)
            index = 0
        places.append(index)
    off = ~none & ~(np.abs(filled.sum(axis=1) - 1) <= SUM_TOLERANCE)
    findings.where(off, ("scores",), "sum", "must sum to 1 within 0.000001")
    if places != list(range(len(classes))):
        sent, filled = filled, np.zeros((len(scores), len(classes)))
        filled[:, places] = sent
    filled[none] = np.nan
    return filled


def _regression(batch: PredictionBatch, findings: Findings) -> Floats:
    value = np.full(len(batch), np.nan) if batch.score is None else batch.score
    lacking = np.isnan(value)
    findings.where(lacking, ("predicted",), "missing", "needs a value: predicted or score")
    return value


def sized(values: Floats, path: Path, findings: Findings) -> None:
    """Sums are exact for numbers up to a bound that no honest value comes near."""
    beyond = outside(values)
    if beyond.any():
        message = f"must be between -{LARGEST:.0e} and {LARGEST:.0e}"
        findings.where(beyond & ~np.isnan(values), path, "out_of_range", message)
