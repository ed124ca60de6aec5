"""The product's semantics again, as slowly and plainly as can be: lists of rows, scikit-learn for every figure."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn import metrics as sk


@dataclass(frozen=True, slots=True)
class Predicted:
    known_at: int
    at: int
    version: str
    segments: dict[str, str]
    predicted: str | float
    score: float | None = None
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    known_at: int
    order: int
    actual: str | float


@dataclass
class Truth:
    """What the service should know; fed beside it with the same rows."""

    classes: tuple[str, ...] = ()
    predictions: dict[str, Predicted] = field(default_factory=dict)
    labels: dict[str, list[Labelled]] = field(default_factory=dict)
    _order: int = 0

    def predict(self, name: str, row: Predicted) -> None:
        """The first content of an id stands. Of labels that waited for it the last one counts, from now on."""
        if name in self.predictions:
            return
        self.predictions[name] = row
        if name in self.labels:
            (waiting,) = self.labels[name]
            self.labels[name] = [replace(waiting, known_at=max(waiting.known_at, row.known_at))]

    def label(
        self, name: str, actual: str | float, known_at: int, *, correction: bool = False, imported: bool = False
    ) -> None:
        """The same again is a duplicate; another value is a conflict unless it is a correction.

        An imported correction says what was known at its moment, even where that is what counts anyway. No label is
        known before its prediction is; while it waits for that, only the one that counts is kept.
        """
        if name in self.predictions:
            known_at = max(known_at, self.predictions[name].known_at)
        history = self.labels.setdefault(name, [])
        self._order += 1
        if not history or (correction and (imported or _last(history, known_at) != actual)):
            history.append(Labelled(known_at, self._order, actual))
        if name not in self.predictions:
            self.labels[name] = [_since(history)]

    def rows(self, moment: int, keep: Callable[[Predicted], bool]) -> tuple[list[Predicted], list[Any]]:
        """Predictions known at `moment`, and for each its latest label known by then (None where there is none)."""
        known = [(name, row) for name, row in self.predictions.items() if row.known_at <= moment and keep(row)]
        actual = [self._latest(name, moment) for name, _ in known]
        return [row for _, row in known], actual

    def _latest(self, name: str, moment: int) -> Any:
        return _last(self.labels.get(name, []), moment)


def _rank(label: Labelled) -> tuple[int, int]:
    return label.known_at, label.order


def _last(history: list[Labelled], moment: int) -> Any:
    known = [label for label in history if label.known_at <= moment]
    return max(known, key=_rank).actual if known else None


def _since(history: list[Labelled]) -> Labelled:
    """The label from which on the value that counts has counted."""
    ordered = sorted(history, key=_rank)
    while len(ordered) > 1 and ordered[-2].actual == ordered[-1].actual:
        ordered.pop()
    return ordered[-1]


def figures(rows: list[Predicted], actual: list[Any], classes: tuple[str, ...]) -> dict[str, float]:
    """n, labelled and every metric that is defined on these rows."""
    paired = [(row, truth) for row, truth in zip(rows, actual, strict=True) if truth is not None]
    answer: dict[str, float] = {"n": len(rows), "labelled": len(paired)}
    if not paired:
        return answer
    if not classes:
        return answer | _regression([row.score for row, _ in paired], [truth for _, truth in paired])
    answer |= _decisions([row.predicted for row, _ in paired], [truth for _, truth in paired], classes)
    scored = [(row, truth) for row, truth in paired if row.score is not None or row.scores is not None]
    if scored:
        truths = np.array([classes.index(truth) for _, truth in scored])
        if len(classes) == 2:
            answer |= _binary_scores(truths, np.array([row.score for row, _ in scored]))
        else:
            answer |= _multiclass_scores(truths, np.array([row.scores for row, _ in scored]))
    return answer


def _decisions(predicted: list[Any], actual: list[Any], classes: tuple[str, ...]) -> dict[str, float]:
    binary = len(classes) == 2
    average: dict[str, Any] = {"average": "binary", "pos_label": classes[1]} if binary else {"average": "macro"}
    answer = {
        "accuracy": sk.accuracy_score(actual, predicted),
        "specificity": _specificity(predicted, actual, classes),
        "precision": sk.precision_score(actual, predicted, zero_division=0, **average),
        "recall": sk.recall_score(actual, predicted, zero_division=0, **average),
        "f1": sk.f1_score(actual, predicted, zero_division=0, **average),
        "f1_macro": sk.f1_score(actual, predicted, zero_division=0, average="macro"),
        "f1_weighted": sk.f1_score(actual, predicted, zero_division=0, average="weighted"),
    }
    if len(set(actual)) > 1:
        with warnings.catch_warnings():  # scikit-learn warns of predicted classes that never came true; they count
            warnings.simplefilter("ignore", UserWarning)
            answer["balanced_accuracy"] = sk.balanced_accuracy_score(actual, predicted)
        answer["kappa"] = sk.cohen_kappa_score(actual, predicted)
        if len(set(predicted)) > 1:
            answer["mcc"] = sk.matthews_corrcoef(actual, predicted)
    return answer


def _specificity(predicted: list[Any], actual: list[Any], classes: tuple[str, ...]) -> float:
    """Recall of "not this class": of the positive class, or the mean over the classes that occur."""
    present = [classes[1]] if len(classes) == 2 else sorted({*actual, *predicted})
    rates = []
    for name in present:
        hits = sk.recall_score([a != name for a in actual], [p != name for p in predicted], zero_division=0)
        rates.append(hits)
    return float(np.mean(rates))


def _calibration_error(claimed: np.ndarray, came_true: np.ndarray) -> float:
    """ECE over 16 bins of equal width."""
    of = np.minimum((claimed * 16).astype(int), 15)
    gaps = [abs(claimed[of == b].sum() - came_true[of == b].sum()) for b in range(16)]
    return float(np.sum(gaps) / len(claimed))


def _binary_scores(truth: np.ndarray, score: np.ndarray) -> dict[str, float]:
    answer = {
        "log_loss": sk.log_loss(truth, score, labels=[0, 1]),
        "brier": sk.brier_score_loss(truth, score),
        "ece": _calibration_error(score, truth),
    }
    if 0 < truth.sum() < len(truth):
        answer["roc_auc"] = sk.roc_auc_score(truth, score)
        answer["pr_auc"] = sk.average_precision_score(truth, score)
    return answer


def _multiclass_scores(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    k = scores.shape[1]
    hot = np.eye(k)[truth]
    clipped = np.clip(scores, np.finfo(float).eps, 1)
    answer = {
        "log_loss": float(-np.log((clipped / clipped.sum(axis=1, keepdims=True))[np.arange(len(truth)), truth]).mean()),
        "brier": float(((scores - hot) ** 2).sum(axis=1).mean()),
        "ece": _calibration_error(scores.max(axis=1), scores.argmax(axis=1) == truth),
    }
    if len(set(truth.tolist())) == k and len(truth) > k:
        answer["roc_auc"] = float(np.mean([sk.roc_auc_score(hot[:, c], scores[:, c]) for c in range(k)]))
        answer["pr_auc"] = float(np.mean([sk.average_precision_score(hot[:, c], scores[:, c]) for c in range(k)]))
    return answer


def _regression(predicted: list[float], actual: list[float]) -> dict[str, float]:
    y, yhat = np.array(actual), np.array(predicted)
    answer = {
        "mae": sk.mean_absolute_error(y, yhat),
        "mse": sk.mean_squared_error(y, yhat),
        "rmse": sk.root_mean_squared_error(y, yhat),
        "bias": float((yhat - y).mean()),
    }
    if len(y) > 1 and np.ptp(y) > 0:
        answer["r2"] = sk.r2_score(y, yhat)
    if (y != 0).any():
        answer["mape"] = sk.mean_absolute_percentage_error(y[y != 0], yhat[y != 0])
    return answer
