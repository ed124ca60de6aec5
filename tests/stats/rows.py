"""Rows to count: the shapes and keyword arguments that tests hand to `count_labels`."""

from typing import Any

import numpy as np

from app.stats.tally import Shape, Tally, Task, count_labels

BINARY = Shape(Task.BINARY, 2)
FIVE = Shape(Task.MULTICLASS, 5)


def binary(n: int, seed: int = 0, *, missing: float = 0.0) -> tuple[Shape, dict[str, Any]]:
    """Scores that reach 0 and 1, some of them missing."""
    random = np.random.default_rng(seed)
    score = np.clip(random.normal(0.5, 0.4, n), 0, 1)
    actual = (random.random(n) < score).astype(np.float64)
    predicted = (score >= 0.5).astype(np.int16)
    score[random.random(n) < missing] = np.nan
    return BINARY, {"actual": actual, "predicted": predicted, "score": score, "delay_us": _delays(n, random)}


def multiclass(n: int, seed: int = 0, *, missing: float = 0.0) -> tuple[Shape, dict[str, Any]]:
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.full(5, 0.5), n)
    actual = (scores.cumsum(axis=1) < random.random(n)[:, np.newaxis]).sum(axis=1).clip(max=4).astype(np.float64)
    predicted = scores.argmax(axis=1).astype(np.int16)
    scores[random.random(n) < missing] = np.nan
    rows = {"actual": actual, "predicted": predicted, "score": np.full(n, np.nan), "scores": scores}
    return FIVE, rows | {"delay_us": _delays(n, random)}


def regression(n: int, seed: int = 0, *, mean: float = 20.0, spread: float = 3.0) -> tuple[Shape, dict[str, Any]]:
    random = np.random.default_rng(seed)
    actual = mean + spread * random.normal(size=n)
    score = actual + 0.5 * spread * random.standard_t(4, n)
    shape = Shape(Task.REGRESSION, 0)
    rows = {"actual": actual, "predicted": np.full(n, -1, np.int16), "score": score}
    return shape, rows | {"delay_us": _delays(n, random)}


def tally(shape: Shape, rows: dict[str, Any]) -> Tally:
    """All rows in one point."""
    cell = np.zeros(len(rows["actual"]), np.intp)
    return Tally.of(shape, 1, count_labels(shape, cell, 1, **rows))


def take(rows: dict[str, Any], chosen: Any) -> dict[str, Any]:
    return {name: values[chosen] for name, values in rows.items()}


def _delays(n: int, random: np.random.Generator) -> np.ndarray:
    return (random.lognormal(8, 3, n) * 1e6).astype(np.int64)
