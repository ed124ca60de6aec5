"""Intervals: as statsmodels', and with the coverage they claim."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from app.stats.intervals import (
    agresti_coull,
    asymptotic,
    beta_mixture,
    clopper_pearson,
    jeffreys,
    newcombe_diff,
    normal,
    proportion,
    t_interval,
    t_of,
    wilson,
)

METHODS = [
    (wilson, "wilson"),
    (clopper_pearson, "beta"),
    (jeffreys, "jeffreys"),
    (agresti_coull, "agresti_coull"),
    (normal, "normal"),
]


class TestProportions:
    @pytest.mark.parametrize(("method", "name"), METHODS)
    @pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
    def test_agree_with_statsmodels(self, method: object, name: str, level: float) -> None:
        n = np.repeat([1, 7, 50, 199, 200, 5000], 3)
        x = np.array([0, 1, 1, 0, 3, 7, 0, 25, 50, 1, 100, 198, 0, 199, 200, 10, 4990, 5000])
        low, high = method(x, n, level)  # type: ignore[operator]
        for index in range(x.size):
            expected = proportion_confint(x[index], n[index], 1 - level, name)
            np.testing.assert_allclose((low[index], high[index]), expected, rtol=1e-8, atol=1e-12)

    @pytest.mark.parametrize(("method", "name"), METHODS)
    def test_nothing_observed_is_anything(self, method: object, name: str) -> None:
        low, high = method(0, 0)  # type: ignore[operator]
        assert (float(low), float(high)) == (0.0, 1.0), name

    def test_the_difference_agrees_with_statsmodels(self) -> None:
        expected = confint_proportions_2indep(45, 500, 25, 500, method="newcomb")
        np.testing.assert_allclose(np.array(newcombe_diff(45, 500, 25, 500)), expected, rtol=1e-8)

    @pytest.mark.parametrize("n", [10, 50, 199, 200, 1000])
    def test_cover_by_exact_enumeration(self, n: int) -> None:
        """Clopper-Pearson everywhere; Wilson, used from 200, on average and never far below."""
        x = np.arange(n + 1)
        rates = np.linspace(0.005, 0.995, 199)
        weights = scipy_stats.binom.pmf(x[:, np.newaxis], n, rates)

        def coverage(ends: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
            inside = (ends[0][:, np.newaxis] <= rates) & (rates <= ends[1][:, np.newaxis])
            return (weights * inside).sum(axis=0)

        assert coverage(clopper_pearson(x, np.full(n + 1, n))).min() >= 0.95
        assert 0.945 <= coverage(wilson(x, np.full(n + 1, n))).mean() <= 0.965
        assert coverage(normal(x, np.full(n + 1, n))).min() < 0.93  # the broken variant is told apart
        low, high, exact = proportion(x, np.full(n + 1, n))
        assert exact.all() == (n < 200)
        assert coverage((low, high)).min() >= (0.95 if n < 200 else 0.86)


class TestMeans:
    def test_t_agrees_with_scipy(self) -> None:
        values = np.random.default_rng(0).exponential(size=40)
        expected = scipy_stats.t.interval(0.9, 39, values.mean(), scipy_stats.sem(values))
        np.testing.assert_allclose(t_interval(values.mean(), values.var(ddof=1), 40, 0.9), expected, rtol=1e-10)

    def test_one_value_has_no_interval(self) -> None:
        assert np.isnan(t_interval(3.0, np.nan, 1)).all()


class TestStudent:
    @pytest.mark.parametrize("level", [0.5, 0.8, 0.95, 0.99, 0.999, 0.99999])
    def test_is_scipys_on_both_sides_of_where_the_series_begins(self, level: float) -> None:
        df = np.concatenate((np.linspace(0.3, 40, 997), np.geomspace(7.999, 1e9, 500), [8.0, np.inf]))
        np.testing.assert_allclose(t_of(level, df), scipy_stats.t.ppf(0.5 + level / 2, df), rtol=2e-12)

    def test_without_degrees_of_freedom_there_is_none(self) -> None:
        assert np.isnan(t_of(0.95, [0, -1, np.nan])).all()
        assert t_of(0.95, 1).shape == ()


class TestAtAnyTime:
    def test_the_sequence_contains_its_rate_and_narrows(self) -> None:
        n = np.array([10, 100, 1000, 10_000, 10_000_000])
        low, high = beta_mixture(0.05 * n, n)
        assert ((low < 0.05) & (high > 0.05)).all()
        assert (np.diff(high - low) < 0).all()
        assert high[-1] - low[-1] < 1e-3

    @pytest.mark.parametrize(("x", "n"), [(0, 30), (30, 30), (0, 0)])
    def test_ends(self, x: int, n: int) -> None:
        low, high = beta_mixture(x, n)
        assert (low == 0) == (x == 0)
        assert (high == 1) == (x == n)

    def test_peeking_after_every_label_keeps_the_level(self) -> None:
        """1,000 streams, 300 looks each; the fixed-n interval is wrong at some look in far more than one of 20."""
        random = np.random.default_rng(7)
        looks = np.unique(np.geomspace(5, 30_000, 300).astype(int))
        steps = np.diff(looks, prepend=0)
        right = random.binomial(steps, 0.9, (1000, looks.size)).cumsum(axis=1)
        n = np.broadcast_to(looks, right.shape)

        def ever_wrong(ends: tuple[np.ndarray, np.ndarray]) -> float:
            return float(((ends[0] > 0.9) | (ends[1] < 0.9)).any(axis=1).mean())

        assert ever_wrong(beta_mixture(right, n)) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
        assert ever_wrong(wilson(right, n)) > 0.2

    def test_the_asymptotic_sequence_keeps_it_for_a_skewed_loss(self) -> None:
        random = np.random.default_rng(8)
        losses = random.exponential(size=(1000, 10_000)).astype(np.float32)
        n = np.arange(500, 10_001, 50)
        mean = losses.cumsum(axis=1, dtype=np.float64)[:, n - 1] / n
        square = np.square(losses).cumsum(axis=1, dtype=np.float64)[:, n - 1] / n
        half = asymptotic(np.sqrt(square - mean**2), n)
        wrong = (np.abs(mean - 1) > half).any(axis=1).mean()
        assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
