"""Change points, forecasts and sketches of series."""

import warnings

import numpy as np
import pytest
from statsmodels.tsa.statespace.exponential_smoothing import ExponentialSmoothing

from app.stats.changepoints import changepoints
from app.stats.forecast import forecast, smoothed
from app.stats.sketches import ACCURACY, Sketch, bin_of, merge, middle_of


class TestChanges:
    @pytest.mark.parametrize(("n", "most"), [(20, 0.05), (60, 0.01), (300, 0.01)])
    def test_a_constant_series_hardly_ever_shows_one(self, n: int, most: float) -> None:
        random = np.random.default_rng(0)
        found = np.mean([bool(changepoints(random.normal(size=n))) for _ in range(300)])
        assert found <= most + 3 * np.sqrt(most * (1 - most) / 300)

    def test_the_moment_lies_in_its_range(self) -> None:
        random, inside, found = np.random.default_rng(1), 0, 0
        for _ in range(150):
            values = random.normal(size=80)
            values[50:] += 2.0
            changes = changepoints(values)
            found += len(changes) == 1
            inside += any(change.first <= 50 <= change.last for change in changes)
        assert found >= 135
        assert inside >= 140

    def test_two_changes_and_their_levels(self) -> None:
        random = np.random.default_rng(2)
        values = np.repeat([0.95, 0.90, 0.95], 40) + 0.005 * random.normal(size=120)
        first, second = changepoints(values)
        assert (first.bucket, second.bucket) == (40, 80)
        assert first.after.low < 0.90 < first.after.high
        assert first.before.value == pytest.approx(0.95, abs=0.003)

    def test_weights_count_rows(self) -> None:
        """A small bucket far off is noise, a large one is not."""
        values = 0.95 + 0.002 * np.sin(np.arange(60.0) ** 2)
        values[20:23] = 0.90
        light = np.where(np.arange(60) // 3 == 20 // 3, 1.0, 1000.0)
        assert not changepoints(values, np.where((np.arange(60) >= 20) & (np.arange(60) < 23), 0.1, light * 0 + 1000.0))
        assert len(changepoints(values)) == 2

    def test_gaps_are_passed_over(self) -> None:
        values = np.repeat([1.0, 2.0], 20) + 0.01 * np.sin(np.arange(40.0) ** 2)
        values[[3, 19, 25]] = np.nan
        assert [change.bucket for change in changepoints(values)] == [20]

    @pytest.mark.parametrize("values", [[], [1.0] * 5, [1.0] * 50], ids=["empty", "short", "constant"])
    def test_nothing_to_find(self, values: list[float]) -> None:
        assert changepoints(values) == ()


class TestForecast:
    def test_is_that_of_statsmodels(self) -> None:
        values = np.sin(np.arange(60.0) / 5) + 0.1 * np.cos(np.arange(60.0) ** 2)
        found = forecast(values, 5)
        model = ExponentialSmoothing(values, trend=True, damped_trend=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its optimiser overflows on the way
            wanted = model.fit(disp=False, maxiter=200).get_forecast(5)
        np.testing.assert_allclose(found.value, wanted.predicted_mean)
        np.testing.assert_allclose((found.low, found.high), np.asarray(wanted.conf_int(alpha=0.05)).T)

    def test_covers_what_comes(self) -> None:
        random, inside = np.random.default_rng(0), 0
        for _ in range(30):
            level = np.cumsum(0.1 * random.normal(size=84)) + 10
            values = level + 0.3 * random.normal(size=84)
            found = forecast(values[:80], 4, damped=False)
            inside += int(((found.low <= values[80:]) & (values[80:] <= found.high)).sum())
        assert inside / 120 >= 0.85

    def test_gaps_and_limits(self) -> None:
        values = np.full(40, 0.99) + 0.005 * np.sin(np.arange(40.0) ** 2)
        values[7] = np.nan
        found = forecast(values, 3, high_limit=1.0)
        assert found.high.max() <= 1.0
        assert np.isfinite(found.value).all()

    def test_the_chance_of_missing_an_objective(self) -> None:
        values = 0.95 + 0.01 * np.sin(np.arange(50.0) ** 2)
        chance = forecast(values, 2).chance_below(0.9)
        assert (chance < 0.01).all()

    def test_too_short(self) -> None:
        assert forecast([1.0, 2.0], 3).value.size == 0
        assert np.isnan(smoothed([1.0, 2.0]).value).all()

    def test_a_constant(self) -> None:
        assert forecast([0.5] * 20, 2).low.tolist() == [0.5, 0.5]


class TestSketch:
    def test_quantiles_are_within_one_per_cent(self) -> None:
        values = np.random.default_rng(0).lognormal(-3, 1.5, 50_000)
        sketch = Sketch.of(values)
        for q in (0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0):
            exact = np.quantile(values, q, method="inverted_cdf")
            assert sketch.quantile(q).value == pytest.approx(exact, rel=ACCURACY * 1.0001), q

    def test_merging_in_any_order_gives_the_same_bits(self) -> None:
        random = np.random.default_rng(1)
        values = random.exponential(size=10_000)
        parts = [Sketch.of(part) for part in np.split(values, np.sort(random.integers(0, 10_000, 30)))]
        random.shuffle(parts)  # type: ignore[arg-type]
        assert merge([merge(parts[:7]), merge(parts[7:])]) == Sketch.of(values)

    def test_intervals_cover(self) -> None:
        random, inside = np.random.default_rng(2), 0
        for _ in range(300):
            found = Sketch.of(random.exponential(size=400)).quantile(0.95)
            inside += found.low <= -np.log(0.05) <= found.high
        assert inside >= 279

    @pytest.mark.parametrize(("value", "why"), [(0.0, "zero"), (-3.0, "negative"), (1e-12, "tiny")])
    def test_what_has_no_logarithm_is_zero(self, value: float, why: str) -> None:
        assert Sketch.of([value]).quantile(0.5).value == 0, why

    def test_every_bin_stands_for_its_values(self) -> None:
        values = np.geomspace(1e-8, 1e12, 5000)
        assert (np.abs(middle_of(bin_of(values)) / values - 1) <= ACCURACY * 1.0001).all()

    def test_empty_and_outside(self) -> None:
        assert np.isnan(Sketch.of([]).quantile(0.5).value)
        with pytest.raises(ValueError, match="share"):
            Sketch.of([1.0]).quantile(1.5)
