"""Metrics from tallies are scikit-learn's, edge cases included."""

import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from app.stats.calibration import by_chance, isotonic, reliability
from app.stats.metrics import METRICS, anytime, estimate, metrics_of, needs_histogram
from app.stats.tally import Shape, Sparse, Tally, Task, core_only, count_labels
from tests.stats.rows import binary, multiclass, regression, tally

Rows = dict[str, Any]

OF_BINARY: dict[str, Callable[[Rows], float]] = {
    "accuracy": lambda r: sk.accuracy_score(r["actual"], r["predicted"]),
    "balanced_accuracy": lambda r: sk.balanced_accuracy_score(r["actual"], r["predicted"]),
    "precision": lambda r: sk.precision_score(r["actual"], r["predicted"], zero_division=0),
    "recall": lambda r: sk.recall_score(r["actual"], r["predicted"], zero_division=0),
    "specificity": lambda r: sk.recall_score(r["actual"], r["predicted"], pos_label=0, zero_division=0),
    "f1": lambda r: sk.f1_score(r["actual"], r["predicted"], zero_division=0),
    "f1_macro": lambda r: sk.f1_score(r["actual"], r["predicted"], average="macro", zero_division=0),
    "f1_weighted": lambda r: sk.f1_score(r["actual"], r["predicted"], average="weighted", zero_division=0),
    "mcc": lambda r: sk.matthews_corrcoef(r["actual"], r["predicted"]),
    "kappa": lambda r: sk.cohen_kappa_score(r["actual"], r["predicted"]),
    "log_loss": lambda r: sk.log_loss(r["actual"], y_proba=r["score"], labels=[0, 1]),
    "brier": lambda r: sk.brier_score_loss(r["actual"], y_proba=r["score"], pos_label=1, labels=[0, 1]),
}
FROM_HISTOGRAMS = {
    "roc_auc": lambda r: sk.roc_auc_score(r["actual"], r["score"]),
    "pr_auc": lambda r: sk.average_precision_score(r["actual"], r["score"]),
}
OF_MULTICLASS: dict[str, Callable[[Rows], float]] = {
    "accuracy": OF_BINARY["accuracy"],
    "balanced_accuracy": OF_BINARY["balanced_accuracy"],
    "precision": lambda r: sk.precision_score(r["actual"], r["predicted"], average="macro", zero_division=0),
    "recall": lambda r: sk.recall_score(r["actual"], r["predicted"], average="macro", zero_division=0),
    "f1": OF_BINARY["f1_macro"],
    "f1_macro": OF_BINARY["f1_macro"],
    "f1_weighted": OF_BINARY["f1_weighted"],
    "mcc": OF_BINARY["mcc"],
    "kappa": OF_BINARY["kappa"],
    "log_loss": lambda r: sk.log_loss(r["actual"], y_proba=r["scores"], labels=range(5)),
    "brier": lambda r: sk.brier_score_loss(r["actual"], y_proba=r["scores"], labels=range(5)),
}
OF_REGRESSION: dict[str, Callable[[Rows], float]] = {
    "mae": lambda r: sk.mean_absolute_error(r["actual"], r["score"]),
    "rmse": lambda r: sk.root_mean_squared_error(r["actual"], r["score"]),
    "mse": lambda r: sk.mean_squared_error(r["actual"], r["score"]),
    "r2": lambda r: sk.r2_score(r["actual"], r["score"]),
    "bias": lambda r: float(np.mean(r["score"] - r["actual"])),
    "mape": lambda r: sk.mean_absolute_percentage_error(r["actual"], r["score"]),
}


def quietly(oracle: Callable[[Rows], float], rows: Rows) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(oracle(rows))


def rational_r2(rows: Rows) -> float:
    actual, predicted = ([Fraction(float(value)) for value in rows[name]] for name in ("actual", "score"))
    mean = sum(actual) / len(actual)
    spread = sum((y - mean) ** 2 for y in actual)
    return float(1 - sum((y - f) ** 2 for y, f in zip(actual, predicted, strict=True)) / spread)


def check(tallied: Tally, rows: Rows, oracles: dict[str, Callable[[Rows], float]]) -> None:
    for name, oracle in oracles.items():
        mine, theirs = estimate(tallied, name), quietly(oracle, rows)
        np.testing.assert_allclose(mine.value[0], theirs, rtol=1e-9, atol=1e-9, err_msg=name)
        if np.isfinite(mine.low[0]) and np.isfinite(mine.value[0]):
            assert mine.low[0] - 1e-12 <= mine.value[0] <= mine.high[0] + 1e-12, name


class TestValuesAreScikitLearns:
    @settings(max_examples=60, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60))
    def test_binary(self, seed: int, n: int) -> None:
        shape, rows = binary(n, seed)
        check(tally(shape, rows), rows, OF_BINARY)

    @settings(max_examples=60, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60))
    def test_multiclass_of_which_not_all_classes_occur(self, seed: int, n: int) -> None:
        shape, rows = multiclass(n, seed)
        check(tally(shape, rows), rows, OF_MULTICLASS)

    @settings(max_examples=60, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(2, 60),
        mean=st.sampled_from([0.0, 20.0, -1e6, 1e9]),
        spread=st.sampled_from([1e-3, 3.0, 1e5]),
    )
    def test_regression_also_where_the_mean_dwarfs_the_spread(
        self, seed: int, n: int, mean: float, spread: float
    ) -> None:
        shape, rows = regression(n, seed, mean=mean, spread=spread)
        tallied = tally(shape, rows)
        # where the mean is 10¹² spreads, scikit-learn's own mean of y loses digits: rational arithmetic is the oracle
        for name, oracle in (OF_REGRESSION | {"r2": rational_r2}).items():
            unit = {"mse": spread**2, "r2": 1.0, "mape": 1.0}.get(name, spread)
            expected = quietly(oracle, rows)
            np.testing.assert_allclose(estimate(tallied, name).value[0], expected, rtol=1e-9, atol=1e-9 * unit)

    def test_a_bucket_far_from_the_models_centre_keeps_its_r2(self) -> None:
        random = np.random.default_rng(0)
        actual = 1e6 + 1e-3 * random.normal(size=500)
        rows = {"actual": actual, "predicted": np.zeros(500, int), "delay_us": np.zeros(500, np.int64)}
        rows["score"] = actual + 3e-4 * random.normal(size=500)
        shape = Shape(Task.REGRESSION, 0)
        found = estimate(tally(shape, rows), "r2")
        assert found.value[0] == pytest.approx(sk.r2_score(rows["actual"], rows["score"]), abs=1e-6)
        assert found.low[0] < found.value[0] < found.high[0]

    def test_the_positive_class_may_come_first(self) -> None:
        _, rows = binary(300)
        turned = rows | {"actual": 1 - rows["actual"], "predicted": 1 - rows["predicted"]}
        mine = tally(Shape(Task.BINARY, 2, positive=0), turned)
        for name, oracle in (OF_BINARY | FROM_HISTOGRAMS).items():
            assert estimate(mine, name).value[0] == pytest.approx(oracle(rows), abs=2e-3), name

    def test_rows_without_scores_shrink_score_metrics_only(self) -> None:
        shape, rows = binary(400, missing=0.4)
        scored = np.isfinite(rows["score"])
        found = estimate(tally(shape, rows), "log_loss")
        assert found.n.tolist() == [scored.sum()]
        assert found.value[0] == pytest.approx(
            sk.log_loss(rows["actual"][scored], y_proba=rows["score"][scored]), abs=1e-9
        )
        assert estimate(tally(shape, rows), "accuracy").n.tolist() == [400]

    def test_mape_leaves_out_actuals_of_zero(self) -> None:
        shape, rows = regression(100)
        rows["actual"][:30] = 0.0
        found = estimate(tally(shape, rows), "mape")
        kept = {name: values[30:] for name, values in rows.items()}
        assert found.n.tolist() == [70]
        assert found.value[0] == pytest.approx(OF_REGRESSION["mape"](kept), abs=1e-9)
        assert "left out" in found.note


class TestEdges:
    @pytest.mark.parametrize("task", list(Task))
    def test_no_row_is_nan_and_said_so(self, task: Task) -> None:
        shape, _ = {"binary": binary, "multiclass": multiclass, "regression": regression}[task](5)
        empty = Tally.of(shape, 3, Sparse.empty())
        for name in metrics_of(task):
            found = estimate(empty, name)
            assert np.isnan(found.value).all(), name
            assert np.isnan(found.low).all(), name
            assert np.isnan(found.high).all(), name
            assert found.note, name
            assert len(found.method) == 3, name
            assert np.isnan(anytime(empty.total(), name).low), name

    @pytest.mark.parametrize(
        ("actual", "predicted", "name", "value", "why"),
        [
            ([1, 0, 1], [0, 0, 0], "precision", 0.0, "nothing predicted positive: 0 by convention"),
            ([0, 0, 0], [0, 1, 0], "recall", 0.0, "no positive"),
            ([1, 1, 1], [1, 1, 1], "specificity", 0.0, "no negative"),
            ([0, 0], [0, 0], "f1", 0.0, "no positive, actual or predicted"),
            ([1, 1], [1, 1], "mcc", 0.0, "one class only"),
            ([1, 1], [1, 1], "kappa", np.nan, "no disagreement was possible"),
            ([1, 1], [1, 1], "balanced_accuracy", 1.0, "the class that never happened is left out"),
        ],
    )
    def test_ratios_without_a_denominator(
        self, actual: list[int], predicted: list[int], name: str, value: float, why: str
    ) -> None:
        found = estimate(_confusion(actual, predicted), name)
        np.testing.assert_equal(found.value[0], value, why)

    @pytest.mark.parametrize("name", ["accuracy", "precision", "f1", "f1_macro", "mcc", "kappa", "balanced_accuracy"])
    def test_a_perfect_point_still_has_a_width(self, name: str) -> None:
        found = estimate(_confusion([0, 1] * 10, [0, 1] * 10), name)
        assert found.value[0] == 1.0
        assert 0.4 < found.low[0] < 0.95
        assert found.high[0] == 1.0

    def test_one_outcome_has_no_area(self) -> None:
        shape, rows = binary(20)
        rows["actual"][:] = 1.0
        found = estimate(tally(shape, rows), "roc_auc")
        assert np.isnan(found.value[0])
        assert "only one outcome" in found.note

    @pytest.mark.parametrize(("error", "value"), [(0.0, 1.0), (0.5, 0.0)])
    def test_a_constant_target_has_r2_one_or_zero(self, error: float, value: float) -> None:
        actual = np.full(10, 1234.5)
        rows = {"actual": actual, "predicted": np.zeros(10, int), "delay_us": np.zeros(10, np.int64)}
        rows["score"] = actual + error
        shape = Shape(Task.REGRESSION, 0)
        assert estimate(tally(shape, rows), "r2").value[0] == value == sk.r2_score(actual, rows["score"])

    def test_one_row_of_a_regression_has_a_value_and_no_interval(self) -> None:
        shape, rows = regression(1)
        for name in ("mae", "rmse", "bias", "mape"):
            found = estimate(tally(shape, rows), name)
            assert np.isfinite(found.value[0]), name
            assert np.isnan([found.low[0], found.high[0]]).all(), name
        assert np.isnan(estimate(tally(shape, rows), "r2").value[0])

    def test_refuses_a_metric_the_task_does_not_have(self) -> None:
        with pytest.raises(ValueError, match="'rmse' is not a metric of a binary model"):
            estimate(tally(*binary(3)), "rmse")
        with pytest.raises(ValueError, match="'speed' is not a metric"):
            estimate(tally(*binary(3)), "speed")

    def test_refuses_scores_that_were_not_read(self) -> None:
        shape, rows = binary(30)
        read = Tally.of(shape, 1, core_only(tally(shape, rows).sparse))
        with pytest.raises(ValueError, match="histogram families"):
            estimate(read, "roc_auc")
        assert estimate(read, "log_loss").n.tolist() == [30]

    def test_refuses_an_overall_figure_of_several_points(self) -> None:
        with pytest.raises(ValueError, match=r"Tally\.total"):
            anytime(Tally.of(*_two_points()), "accuracy")


class TestTheTable:
    def test_names_every_metric_of_the_api(self) -> None:
        assert metrics_of(Task.BINARY) == metrics_of(Task.MULTICLASS)
        names = "accuracy balanced_accuracy precision recall specificity f1 f1_macro f1_weighted mcc kappa"
        assert metrics_of(Task.BINARY) == (
            *names.split(),
            "log_loss",
            "brier",
            "roc_auc",
            "pr_auc",
            "ece",
            "ece_debiased",
        )
        assert metrics_of(Task.REGRESSION) == ("mae", "rmse", "mse", "r2", "bias", "mape")

    def test_each_says_what_it_means(self) -> None:
        for entry in METRICS.values():
            assert entry.meaning.endswith("."), entry.name
            assert needs_histogram(entry.name) == entry.needs_histogram

    @pytest.mark.parametrize("make", [binary, multiclass, regression])
    def test_many_points_at_once_are_each_point_alone(self, make: Any) -> None:
        shape, rows = make(900)
        cell = np.arange(900) % 6
        together = Tally.of(shape, 6, count_labels(shape, cell, 6, **rows))
        for point in (0, 5):
            alone = tally(shape, {name: values[cell == point] for name, values in rows.items()})
            for name in metrics_of(shape.task):
                one, all_ = estimate(alone, name), estimate(together, name)
                for part in ("value", "low", "high"):
                    assert getattr(one, part)[0] == pytest.approx(getattr(all_, part)[point], rel=1e-12), name
                assert one.method[0] == all_.method[point]

    @pytest.mark.parametrize("make", [binary, multiclass, regression])
    def test_the_anytime_interval_contains_the_fixed_one(self, make: Any) -> None:
        tallied = tally(*make(5000))
        for name in metrics_of(tallied.shape.task):
            always, once = anytime(tallied, name), estimate(tallied, name)
            assert always.validity == "anytime"
            assert always.assumption, name
            if name in {"ece", "ece_debiased"}:
                assert np.isnan(always.low)
            else:
                assert always.low <= once.low[0] <= once.value[0] <= once.high[0] <= always.high, name

    def test_too_few_rows_for_an_asymptotic_sequence_say_so(self) -> None:
        found = anytime(tally(*binary(400)), "log_loss")
        assert np.isnan([found.low, found.high]).all()
        assert "500" in found.assumption
        assert found.value == estimate(tally(*binary(400)), "log_loss").value[0]


class TestCalibration:
    def test_ece_is_the_plain_value_over_16_bins(self) -> None:
        shape, rows = binary(3000)
        score, actual = rows["score"], rows["actual"]
        bins = np.minimum((score * 16).astype(int), 15)
        gaps = [abs((actual - score)[bins == index].sum()) for index in range(16)]
        assert estimate(tally(shape, rows), "ece").value[0] == pytest.approx(sum(gaps) / 3000, abs=1e-9)

    def test_multiclass_ece_is_of_the_top_label(self) -> None:
        shape, rows = multiclass(3000)
        top, right = rows["scores"].max(axis=1), rows["scores"].argmax(axis=1) == rows["actual"]
        bins = np.minimum((top * 16).astype(int), 15)
        gaps = [abs((right - top)[bins == index].sum()) for index in range(16)]
        assert estimate(tally(shape, rows), "ece").value[0] == pytest.approx(sum(gaps) / 3000, abs=1e-9)

    def test_a_calibrated_model_shows_no_debiased_error_where_the_plain_one_does(self) -> None:
        random = np.random.default_rng(3)
        score = random.random(500 * 40)
        rows = {"actual": (random.random(score.size) < score) * 1.0, "score": score}
        rows |= {"predicted": (score >= 0.5).astype(int), "delay_us": np.zeros(score.size, np.int64)}
        shape, _ = binary(1)
        cell = np.repeat(np.arange(40), 500)
        tallied = Tally.of(shape, 40, count_labels(shape, cell, 40, **rows))
        plain = estimate(tallied, "ece")
        assert plain.value.mean() > 0.05
        debiased = estimate(tallied, "ece_debiased")
        assert debiased.value.mean() < 0.02
        assert (plain.low == 0).mean() >= 0.9
        assert (debiased.low == 0).mean() >= 0.9
        assert "a calibrated model shows as much by chance" in plain.note
        assert "no error beyond chance" in debiased.note

    def test_the_band_of_chance_is_that_of_a_calibrated_model(self) -> None:
        tallied = claims(runs=600, n=400, shift=0.0)
        plain, within = estimate(tallied, "ece").value, by_chance(tallied.claims(16), 0.95)
        assert (plain > within).mean() == pytest.approx(0.05, abs=3 * np.sqrt(0.0475 / 600))
        diagram = reliability(tallied)
        seen = diagram.rows > 0
        outside = (diagram.frequency < diagram.chance_low) | (diagram.frequency > diagram.chance_high)
        assert outside[seen].mean() <= 0.05
        assert (diagram.low <= diagram.frequency)[seen].all()

    @pytest.mark.parametrize(("shift", "why"), [(0.0, "calibrated"), (0.1, "every probability a tenth too high")])
    def test_the_debiased_error_is_covered(self, shift: float, why: str) -> None:
        truth = float(estimate(claims(runs=1, n=400_000, shift=shift), "ece_debiased").value[0])
        assert truth == pytest.approx(shift, abs=0.005), why
        found = estimate(claims(runs=400, n=600, shift=shift), "ece_debiased")
        assert ((found.low <= truth) & (truth <= found.high)).mean() >= 0.93
        assert abs(found.value.mean() - truth) < 0.02

    def test_isotonic_is_scikit_learns(self) -> None:
        random = np.random.default_rng(1)
        rows = random.integers(0, 5, 1024)
        hits = random.binomial(rows, np.linspace(0.1, 0.9, 1024))
        used = rows > 0
        fitted = IsotonicRegression().fit(np.flatnonzero(used), hits[used] / rows[used], sample_weight=rows[used])
        np.testing.assert_allclose(isotonic(hits, rows)[used], fitted.predict(np.flatnonzero(used)), rtol=1e-12)
        assert np.isnan(isotonic(np.zeros(4), np.zeros(4))).all()


class TestSkewedLosses:
    def test_the_method_follows_the_skew_and_says_so(self) -> None:
        found = estimate(losses(runs=1, n=4000, rate=0.1), "log_loss")
        assert (found.method, found.note) == (("t",), "")
        assert estimate(losses(runs=1, n=1000, rate=0.03), "log_loss").method == ("t, joined by log t",)
        rare = estimate(losses(runs=1, n=300, rate=0.01), "log_loss")
        assert rare.method == ("empirical bernstein",)
        assert "large losses are rare" in rare.note

    @pytest.mark.parametrize("name", ["log_loss", "brier"])
    @pytest.mark.parametrize(("n", "rate", "why"), [
        (1000, 0.002, "two events: t covers .75 of log loss"),
        (1000, 0.01, "t covers .90"),
        (300, 0.03, "t covers .92"),
        (1000, 0.1, "t is right"),
    ])  # fmt: skip
    def test_covers(self, name: str, n: int, rate: float, why: str) -> None:
        truth = float(estimate(losses(runs=1, n=3_000_000, rate=rate), name).value[0])
        found = estimate(losses(runs=400, n=n, rate=rate), name)
        assert ((found.low <= truth) & (truth <= found.high)).mean() >= 0.93, why
        assert ((found.low <= found.value) & (found.value <= found.high)).all()


def losses(runs: int, n: int, rate: float) -> Tally:
    random = np.random.default_rng(n)
    score = np.clip(random.beta(rate * 4, (1 - rate) * 4, n * runs), 1e-4, 1 - 1e-4)
    return scored(runs, score, random.random(score.size) < score)


def claims(runs: int, n: int, shift: float) -> Tally:
    """Probabilities that are `shift` too high."""
    random = np.random.default_rng(7)
    score = random.uniform(shift, 1.0, n * runs)
    return scored(runs, score, random.random(score.size) < score - shift)


def scored(runs: int, score: np.ndarray, actual: np.ndarray) -> Tally:
    rows = {"actual": actual * 1.0, "score": score, "predicted": (score >= 0.5).astype(np.int16)}
    cell = np.repeat(np.arange(runs), score.size // runs)
    shape = Shape(Task.BINARY, 2)
    counted = count_labels(shape, cell, runs, **rows, delay_us=np.zeros(score.size, np.int64))
    return Tally.of(shape, runs, counted)


def _confusion(actual: list[int], predicted: list[int]) -> Tally:
    n = len(actual)
    rows = {"actual": np.array(actual, float), "predicted": np.array(predicted), "delay_us": np.zeros(n, np.int64)}
    return tally(Shape(Task.BINARY, 2), rows | {"score": np.full(n, np.nan)})


def _two_points() -> tuple[Any, ...]:
    shape, rows = binary(4)
    return shape, 2, count_labels(shape, np.array([0, 1, 0, 1]), 2, **rows)
