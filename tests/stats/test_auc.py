"""Areas from histograms: the value from all rows is always within the bound."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from sklearn.metrics import average_precision_score, roc_auc_score

from app.stats.auc import Ranks, delong_interval, newcombe, ranks_of
from app.stats.averageprecision import precision_of
from app.stats.delong import delong
from app.stats.ladder import Ladder
from app.stats.metrics import estimate
from app.stats.onevsrest import ROUNDING
from app.stats.tally import Shape, Tally, Task, count_labels, regroup
from tests.stats import dense
from tests.stats.rows import FIVE, binary, multiclass, tally

SCORES = st.one_of(
    st.floats(0, 1),
    st.sampled_from([0.0, 1.0, 0.5, 1e-12, 1 - 1e-12, 0.5 + 1e-9, 0.5 + 2e-9]),  # ties, and bins shared
)


def tallied(actual: np.ndarray, score: np.ndarray) -> Tally:
    predicted, delay = (score >= 0.5).astype(np.int16), np.zeros(score.size, np.int64)
    return tally(
        Shape(Task.BINARY, 2), {"actual": actual * 1.0, "predicted": predicted, "score": score, "delay_us": delay}
    )


class TestCertifiedBound:
    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), SCORES), min_size=2, max_size=60))
    def test_holds_for_any_rows(self, rows: list[tuple[bool, float]]) -> None:
        actual, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        if actual.all() or not actual.any():
            return
        for name, oracle in (("roc_auc", roc_auc_score), ("pr_auc", average_precision_score)):
            found = estimate(tallied(actual, score), name)
            assert found.bound is not None
            assert abs(found.value[0] - oracle(actual, score)) <= found.bound[0], name

    @settings(max_examples=25, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(50, 20_000),
        prevalence=st.floats(0.001, 0.999),
        sharpness=st.floats(0.0, 8.0),
    )
    def test_holds_and_is_small_for_real_scores(self, seed: int, n: int, prevalence: float, sharpness: float) -> None:
        random = np.random.default_rng(seed)
        actual = random.random(n) < prevalence
        if actual.all() or not actual.any():
            return
        score = ndtr(random.normal(size=n) + sharpness * (actual - 0.5))
        for name, oracle in (("roc_auc", roc_auc_score), ("pr_auc", average_precision_score)):
            found = estimate(tallied(actual, score), name)
            assert found.bound is not None
            assert abs(found.value[0] - oracle(actual, score)) <= found.bound[0], name
        assert found.low[0] <= found.value[0] <= found.high[0]

    def test_of_a_hundred_thousand_rows_is_about_a_thousandth(self) -> None:
        random = np.random.default_rng(0)
        actual = random.random(100_000) < 0.05
        score = ndtr(random.normal(size=actual.size) + 1.5 * actual - 1)
        found = estimate(tallied(actual, score), "roc_auc")
        assert found.bound is not None
        assert found.bound[0] < 2e-3
        assert found.value[0] == pytest.approx(roc_auc_score(actual, score), abs=2e-4)

    def test_multiclass_is_the_macro_of_one_against_the_rest(self) -> None:
        shape, rows = multiclass(4000)
        found = estimate(tally(shape, rows), "roc_auc")
        assert found.bound is not None
        expected = roc_auc_score(rows["actual"], rows["scores"], multi_class="ovr")
        assert abs(found.value[0] - expected) <= found.bound[0]

    def test_a_class_without_both_outcomes_is_left_out(self) -> None:
        _, rows = multiclass(2000)
        kept = rows["actual"] != 4
        rows = {name: values[kept] for name, values in rows.items()}
        found = estimate(tally(FIVE, rows), "roc_auc")
        expected = [roc_auc_score(rows["actual"] == c, rows["scores"][:, c]) for c in range(4)]
        assert found.value[0] == pytest.approx(np.mean(expected), abs=2e-3)


class TestLadder:
    """The short form over entries gives what whole histograms give: counts exactly, values to 1e-12."""

    @pytest.mark.parametrize(("rows", "points", "why"), [
        (1, 3, "one row"),
        (400, 300, "hours with a row or two, some without one, some with one outcome"),
        (20_000, 40, "several parts of the table"),
        (60_000, 1, "one point, most bins filled"),
    ])  # fmt: skip
    @pytest.mark.parametrize("kind", [binary, multiclass])
    def test_is_the_dense_form(self, kind: Any, rows: int, points: int, why: str) -> None:
        shape, given = kind(rows, missing=0.1)
        cell = np.random.default_rng(5).integers(0, points, rows)
        read = Tally.of(shape, points, count_labels(shape, cell, points, **given))
        positive, negative = dense.histograms(read)
        self.same(read.ladders, positive.reshape(-1, 1024), negative.reshape(-1, 1024), why)

    def test_is_so_also_where_bins_hold_millions(self) -> None:
        random = np.random.default_rng(6)
        positive, negative = (random.integers(0, 3_000_000, (6, 1024)) * (random.random((6, 1024)) < 0.7) for _ in "pn")
        positive[2], negative[4] = 0, 0
        self.same([dense.ladder(positive, negative)], positive, negative, "sums beyond 2^31")

    @pytest.mark.parametrize("name", ["roc_auc", "pr_auc"])
    def test_what_stands_beside_a_point_changes_no_bit_of_it(self, name: str) -> None:
        shape, rows = binary(9000)
        cell = np.random.default_rng(5).integers(0, 60, 9000)
        counted = count_labels(shape, cell, 60, **rows)
        series = estimate(Tally.of(shape, 60, counted), name)
        for point in (0, 17, 59):
            only = np.where(np.arange(60) == point, 0, -1)
            alone = estimate(Tally.of(shape, 1, regroup(counted, only)), name)
            for part in ("value", "low", "high", "bound"):
                assert getattr(alone, part)[0] == getattr(series, part)[point], part

    def test_a_perfect_order_has_no_variance(self) -> None:
        positive, negative = np.zeros((2, 1, 1024), np.int64)
        positive[0, [700, 900]], negative[0, [5, 6, 7]] = 7, 11
        found = ranks_of([dense.ladder(positive, negative)])
        assert (found.area[0], found.of_positives[0], found.of_negatives[0]) == (1.0, 0.0, 0.0)

    @staticmethod
    def same(ladders: Sequence[Ladder], positive: np.ndarray, negative: np.ndarray, why: str) -> None:
        row, place = np.nonzero(positive)
        upto, above = negative.cumsum(axis=1), positive[:, ::-1].cumsum(axis=1)[:, ::-1] - positive
        expected = {
            "positives": positive.sum(axis=1),
            "negatives": negative.sum(axis=1),
            "count": positive[row, place],
            "above": above[row, place],
            "upto": upto[row, place],
            "below": (upto - negative)[row, place],
        }
        for name, wanted_counts in expected.items():
            assert (np.concatenate([getattr(part, name) for part in ladders]) == wanted_counts).all(), (name, why)
        found, wanted = ranks_of(ladders), dense.ranks(positive, negative)
        both = found.usable
        for name in ("area", "of_positives", "of_negatives"):
            one, other = getattr(found, name)[both], getattr(wanted, name)[both]
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15, err_msg=f"{name}, {why}")
        np.testing.assert_allclose(found.bound[both], wanted.bound[both] + ROUNDING, rtol=1e-12, err_msg=why)
        short, long = precision_of(ladders), dense.precision(positive, negative)
        np.testing.assert_allclose(short.value, long[0], rtol=1e-12, err_msg=why)
        np.testing.assert_allclose(short.bound, long[1] + ROUNDING, rtol=1e-9, atol=1e-12, err_msg=why)
        np.testing.assert_allclose(short.variance, long[2], rtol=1e-11, atol=1e-18, err_msg=why)


class TestIntervals:
    def test_newcombe_ends_solve_their_equation(self) -> None:
        area, m, n = np.array([0.6, 0.9, 0.99, 1.0, 0.0]), np.full(5, 20.0), np.full(5, 80.0)
        low, high = newcombe(area, m, n, 0.95)
        for theta, defined in ((low, area > 0), (high, area < 1)):
            t = theta[defined]
            extra = (m + n)[defined] / 2 - 1
            variance = t * (1 - t) * (1 + extra * ((1 - t) / (2 - t) + t / (1 + t))) / (m * n)[defined]
            np.testing.assert_allclose(np.abs(area[defined] - t), 1.959963984540054 * np.sqrt(variance), rtol=1e-8)
        assert low[4] == pytest.approx(0, abs=1e-9)
        assert high[3] == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize(("positives", "n", "shift", "why"), [
        (20, 200, 2.9, "few positives, sharp: raw DeLong covers .85 in such cells"),
        (50, 500, 0.5, "a weak model"),
        (200, 400, 1.5, "plenty of both"),
    ])  # fmt: skip
    def test_the_union_covers(self, positives: int, n: int, shift: float, why: str) -> None:
        random, runs = np.random.default_rng(9), 800
        actual = np.tile(np.arange(n) < positives, runs)
        score = ndtr(random.normal(size=n * runs) + shift * actual - shift / 2)
        cell = np.repeat(np.arange(runs), n)
        rows = {"predicted": np.zeros(n * runs, np.int16), "score": score, "delay_us": np.zeros(n * runs, np.int64)}
        shape = Shape(Task.BINARY, 2)
        found = estimate(Tally.of(shape, runs, count_labels(shape, cell, runs, actual=actual * 1.0, **rows)), "roc_auc")
        truth = ndtr(shift / np.sqrt(2))
        assert ((found.low <= truth) & (truth <= found.high)).mean() >= 0.93, why

    def test_delong_variance_of_the_histogram_is_that_of_the_rows(self) -> None:
        random = np.random.default_rng(1)
        actual = random.random(3000) < 0.3
        score = ndtr(random.normal(size=3000) + actual)
        _, covariance = delong(actual, score[np.newaxis])
        ranks = ranks_of(tallied(actual, score).ladders)
        assert float(ranks.of_positives[0] + ranks.of_negatives[0]) == pytest.approx(covariance[0, 0], rel=0.01)

    def test_too_few_for_delong_leaves_newcombe(self) -> None:
        one = Ranks(*(np.array(value) for value in (0.9, 0.0, np.nan, 0.01, 1.0, 10.0)))
        assert np.isnan(delong_interval(one, 0.95)).all()
        found = estimate(tallied(np.array([True, False, False]), np.array([0.9, 0.1, 0.2])), "roc_auc")
        assert found.method == ("newcombe-5",)
        assert found.low[0] < 1 <= found.high[0]
