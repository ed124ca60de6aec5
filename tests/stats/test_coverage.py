"""Intervals cover: simulated rows, whole road from counting to the interval. Short form; ≥ .93 of a nominal .95."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from app.stats.metrics import estimate
from app.stats.tally import Shape, Tally, Task, count_labels

RUNS, LEAST = 800, 0.93


def covered(found: Any, truth: float) -> float:
    return float(((found.low <= truth) & (truth <= found.high)).mean())


def classified(n: int, prevalence: float, shift: float, runs: int) -> Tally:
    random = np.random.default_rng(21)
    actual = random.random(n * runs) < prevalence
    score = expit(random.normal(size=n * runs) + shift * actual - 1)
    shape = Shape(Task.BINARY, 2)
    counted = count_labels(
        shape,
        np.repeat(np.arange(runs), n),
        runs,
        actual=actual * 1.0,
        predicted=(score >= 0.5).astype(np.int16),
        score=score,
        delay_us=np.zeros(n * runs, np.int64),
    )
    return Tally.of(shape, runs, counted)


class TestBinary:
    @pytest.mark.parametrize(("n", "prevalence", "shift", "why"), [
        (200, 0.3, 2.0, "small"),
        (500, 0.1, 2.0, "rare positives"),
        (1000, 0.05, 2.0, "rarer"),
    ])  # fmt: skip
    def test_every_interval(self, n: int, prevalence: float, shift: float, why: str) -> None:
        names = ["accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "f1_macro", "mcc"]
        names += ["kappa", "log_loss", "brier", "roc_auc", "pr_auc"]
        large, small = classified(1_000_000, prevalence, shift, 1), classified(n, prevalence, shift, RUNS)
        for name in names:
            truth = float(estimate(large, name).value[0])
            # losses of 200 rows are the case the answer's note warns of
            least = 0.92 if name in {"log_loss", "brier"} and n < 1000 else LEAST
            assert covered(estimate(small, name), truth) >= least, (name, why)

    def test_of_a_perfect_classifier(self) -> None:
        """29 of 30 buckets of 60 are without an error when the true accuracy is .9995: none may be shown as certain."""
        random = np.random.default_rng(2)
        actual = random.random(60 * RUNS) < 0.5
        predicted = actual ^ (random.random(60 * RUNS) < 0.0005)
        shape = Shape(Task.BINARY, 2)
        counted = count_labels(
            shape,
            np.repeat(np.arange(RUNS), 60),
            RUNS,
            actual=actual * 1.0,
            predicted=predicted.astype(np.int16),
            score=np.full(60 * RUNS, np.nan),
            delay_us=np.zeros(60 * RUNS, np.int64),
        )
        tallied = Tally.of(shape, RUNS, counted)
        for name, truth in (("accuracy", 0.9995), ("f1", 0.9995), ("f1_macro", 0.9995), ("mcc", 0.999)):
            assert covered(estimate(tallied, name), truth) >= LEAST, name


class TestRegression:
    @pytest.mark.parametrize(("n", "noise", "why"), [(200, 0.5, "good fit"), (500, 2.0, "worse than the mean")])
    def test_every_interval(self, n: int, noise: float, why: str) -> None:
        random = np.random.default_rng(4)
        actual = 50 + 3 * random.normal(size=n * RUNS)
        score = actual + 0.2 + 3 * noise * random.normal(size=n * RUNS)
        shape = Shape(Task.REGRESSION, 0)
        rows = {"actual": actual, "score": score, "predicted": np.zeros(n * RUNS, np.int16)}
        rows["delay_us"] = np.zeros(n * RUNS, np.int64)
        tallied = Tally.of(shape, RUNS, count_labels(shape, np.repeat(np.arange(RUNS), n), RUNS, **rows))
        mse = 0.2**2 + 9 * noise**2
        truths = {"bias": 0.2, "mse": mse, "rmse": np.sqrt(mse), "r2": 1 - mse / 9}
        for name, truth in truths.items():
            least = 0.92 if name in {"mse", "rmse"} else LEAST
            assert covered(estimate(tallied, name), truth) >= least, (name, why)
