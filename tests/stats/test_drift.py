"""Drift against reference results and scipy; significant and large."""

import warnings

import numpy as np
import pytest
from scipy import stats

from app.stats import drift
from app.stats.binned import gaps
from app.stats.divergence import divergences, pooled, psi_critical
from app.stats.domain_classifier import domain_classifier
from app.stats.ecdf import Sorted, anderson_darling, distances, exact_p, ks, ks_of, wasserstein
from app.stats.mmd import mmd
from tests.stats.reference import same

A, B = np.sin(0.7 * np.arange(300)), 0.8 * np.sin(1.1 * np.arange(200)) + 0.1
SINES = "a=sin(.7i) i<300, b=.8sin(1.1i)+.1 i<200"
REF, CUR = [100] * 10, [62, 55, 48, 50, 51, 47, 53, 49, 45, 40]
COUNTS = "ref=[100]*10 cur=[62,55,48,50,51,47,53,49,45,40]"


class TestSamples:
    @pytest.mark.reference
    def test_reference(self) -> None:
        a, b = Sorted.of(A), Sorted.of(B)
        found = ks(a, b)
        same((found.statistic, found.p), f"ks {SINES} (stat, p)")
        same(wasserstein(a, b).statistic, f"wasserstein {SINES}")
        same(wasserstein(a, b).effect.value, f"wasserstein/std(a) {SINES}")
        same(anderson_darling([A, B]).statistic, f"anderson-darling k-sample {SINES}")

    @pytest.mark.parametrize(("n", "m", "why"), [
        (1, 1, "one of each"),
        (7, 5, "few"),
        (300, 211, "unequal"),
        (40, 4000, "very unequal"),
        (2000, 2000, "many"),
    ])  # fmt: skip
    @pytest.mark.parametrize("tied", [False, True], ids=["continuous", "tied"])
    def test_distances_as_scipy(self, n: int, m: int, why: str, tied: bool) -> None:
        random = np.random.default_rng(n)
        a, b = random.normal(size=n), random.normal(0.2, size=m)
        if tied:
            a, b = np.rint(2 * a), np.rint(2 * b)
        found = distances(Sorted.of(a), Sorted.of(b))
        assert found.ks == pytest.approx(stats.ks_2samp(a, b, method="auto").statistic, abs=1e-14), why
        assert found.wasserstein == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-11, abs=1e-13), why

    def test_far_from_zero_no_digit_is_lost(self) -> None:
        a, b = 1.7e9 + A, 1.7e9 + B
        assert distances(Sorted.of(a), Sorted.of(b)).wasserstein == pytest.approx(
            stats.wasserstein_distance(a - 1.7e9, b - 1.7e9), rel=1e-7
        )

    @pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 8), (13, 13), (50, 31), (100, 3000)])
    def test_exact_p_as_scipy(self, n: int, m: int) -> None:
        random = np.random.default_rng(m)
        a, b = random.normal(size=n), random.normal(0.4, size=m)
        wanted = stats.ks_2samp(a, b, method="exact")
        assert exact_p(wanted.statistic, n, m) == pytest.approx(wanted.pvalue, rel=1e-9)

    def test_limit_law_near_scipy(self) -> None:
        for d in (0.004, 0.006, 0.009):
            wanted = stats.kstwo.sf(d, 50_000)
            assert ks_of(d, 100_000, 100_000).p == pytest.approx(wanted, rel=0.02)

    @pytest.mark.parametrize("tied", [False, True])
    def test_anderson_darling_as_scipy(self, tied: bool) -> None:
        random = np.random.default_rng(2)
        samples = [random.normal(shift, size=size) for shift, size in ((0, 80), (0.2, 60), (0.1, 100))]
        samples = [np.rint(3 * sample) for sample in samples] if tied else samples
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # its p is floored or capped
            wanted = stats.anderson_ksamp(samples, variant="midrank")
        assert anderson_darling(samples).statistic == pytest.approx(wanted.statistic, rel=1e-9)

    def test_empty_and_constant(self) -> None:
        none, constant = Sorted.of([np.nan]), Sorted.of([2.0, 2.0])
        assert np.isnan(ks(none, constant).p)
        assert np.isnan(wasserstein(constant, Sorted.of([1.0])).effect.value)
        assert ks(constant, constant).p == 1

    def test_infinite_values_are_refused(self) -> None:
        with pytest.raises(ValueError, match="infinite"):
            Sorted.of([1.0, np.inf])

    @pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 2.0])
    def test_limits_hold_the_true_distances(self, shift: float) -> None:
        random, inside = np.random.default_rng(0), 0
        true_ks = 2 * stats.norm.cdf(shift / 2) - 1
        for _ in range(60):
            a, b = Sorted.of(random.normal(size=400)), Sorted.of(random.normal(shift, size=300))
            area, gap = wasserstein(a, b).effect, ks(a, b).effect
            inside += area.low <= shift <= area.high * 1.1 and gap.low <= true_ks <= gap.high
        assert inside >= 56


class TestCounts:
    @pytest.mark.reference
    def test_reference(self) -> None:
        raw = divergences(REF, CUR, added=0.0)
        n, m = 1000, 500
        psi = (raw.psi, raw.psi / (1 / n + 1 / m), raw.psi_p)
        same(psi, f"psi {COUNTS}: psi, scaled=psi/(1/n+1/m), p chi2_9")
        same((raw.js, np.sqrt(raw.js)), f"JS divergence nats, JS distance {COUNTS}")
        same((raw.g, raw.p), f"G stat {COUNTS}: stat, p")
        same(raw.chi2, f"chi2_contingency {COUNTS} (no correction): stat, p", part=slice(1))
        criticals = [psi_critical(10, n, n) for n in (500, 1000, 10_000, 1_000_000)]
        same(criticals, "psi .95 critical value B=10 n=m: 500,1000,10000,1e6")

    def test_many_at_once_are_each_alone(self) -> None:
        random = np.random.default_rng(0)
        many = random.multinomial(300, np.full(8, 1 / 8), 20)
        together = divergences(np.full(8, 50), many)
        alone = [divergences(np.full(8, 50), one) for one in many]
        np.testing.assert_allclose(together.js_low, [float(one.js_low) for one in alone])
        np.testing.assert_allclose(together.psi_p, [float(one.psi_p) for one in alone])

    def test_few_rows_have_no_p(self) -> None:
        assert np.isnan(divergences([100] * 10, [1] * 10).p)

    def test_an_empty_side(self) -> None:
        found = divergences([10, 10], [0, 0])
        assert np.isnan(found.p)

    def test_pooling_leaves_expectations_of_five(self) -> None:
        reference, current = pooled([400, 300, 200, 90, 9, 1], [40, 30, 20, 9, 1, 0], ordered=True)
        expected = (reference + current) * current.sum() / (reference.sum() + current.sum())
        assert expected.min() >= 5
        assert (reference.sum(), current.sum()) == (1000, 100)

    def test_binned_distances_are_near_and_below_the_exact(self) -> None:
        random = np.random.default_rng(1)
        a, b = random.normal(size=20_000), random.normal(0.3, 1.2, size=10_000)
        edges = np.linspace(-4, 4, 400)
        counts = [np.diff(np.searchsorted(np.sort(x), edges), prepend=0, append=x.size) for x in (a, b)]
        found, exact = gaps(*counts, edges), distances(Sorted.of(a), Sorted.of(b))
        assert exact.ks - 0.01 <= float(found.ks) <= exact.ks + 1e-12
        assert float(found.wasserstein) == pytest.approx(exact.wasserstein / a.std(), rel=0.01)

    def test_wrong_shapes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="edges"):
            gaps([1, 2, 3], [1, 2, 3], [0.5])


class TestTwoKeys:
    def test_a_million_rows_with_a_small_effect_are_significant_and_not_drift(self) -> None:
        random = np.random.default_rng(0)
        reference = drift.NumberReference.of(random.normal(size=500_000))
        found = drift.numbers(reference, random.normal(0.05, size=500_000))
        assert found.measures["ks"].p < 1e-6
        assert not found.drifted

    def test_a_hundred_rows_with_a_large_figure_are_not_drift(self) -> None:
        reference = drift.NumberReference.of(np.random.default_rng(1).normal(size=100))
        found = drift.numbers(reference, np.random.default_rng(2).normal(size=100))
        assert found.measures["psi"].effect.value > 0.08
        assert not found.drifted

    def test_a_large_shift_is_named_by_its_measures(self) -> None:
        random = np.random.default_rng(0)
        found = drift.numbers(drift.NumberReference.of(random.normal(size=5000)), random.normal(0.5, size=2000))
        assert found.by == ("ks", "wasserstein", "js")
        assert "says nothing about accuracy" in found.note

    def test_missing_values_drift_too(self) -> None:
        x = np.random.default_rng(0).normal(size=4000)
        holes = np.where(np.arange(4000) % 4 == 0, np.nan, x)
        assert drift.numbers(drift.NumberReference.of(x), holes).by == ("js",)

    def test_counts_and_values_agree(self) -> None:
        random = np.random.default_rng(0)
        a, b = random.normal(size=20_000), random.normal(0.4, size=5000)
        edges = np.quantile(a, np.arange(1, 64) / 64)
        counts = [np.bincount(np.searchsorted(edges, x, side="right"), minlength=64) for x in (a, b)]
        by_counts, by_values = drift.counted(*counts, edges), drift.numbers(drift.NumberReference.of(a), b)
        assert by_counts.drifted
        assert by_values.drifted
        assert by_counts.measures["ks"].statistic == pytest.approx(by_values.measures["ks"].statistic, abs=0.01)

    def test_categories(self) -> None:
        assert not drift.counted([900, 100, 3], [450, 48, 1]).drifted
        assert drift.counted([900, 100, 0], [300, 100, 100]).by == ("js",)

    def test_columns_on_two_threads_are_each_alone(self) -> None:
        random = np.random.default_rng(0)
        columns = [random.normal(shift, size=3000) for shift in (0, 0, 1)]
        references = [drift.NumberReference.of(random.normal(size=3000)) for _ in columns]
        found = drift.many_numbers(references, columns)
        assert [one.drifted for one in found] == [False, False, True]
        assert found[2] == drift.numbers(references[2], columns[2])

    def test_a_series_flags_the_moved_hours(self) -> None:
        random = np.random.default_rng(0)
        stable, moved = random.multinomial(1000, [0.25] * 4, 20), random.multinomial(1000, [0.1, 0.2, 0.3, 0.4], 5)
        found = drift.series([2500] * 4, np.concatenate((stable, moved)), [1.0, 2.0, 3.0])
        assert found.drifted.tolist() == [False] * 20 + [True] * 5


class TestManyFeaturesAtOnce:
    def test_mmd_sees_a_changed_dependence(self) -> None:
        random = np.random.default_rng(0)
        one = random.normal(size=(400, 2))
        other = random.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 400)
        assert mmd(one, other, random, permutations=199).p <= 0.01
        assert mmd(one, random.normal(size=(400, 2)), random, permutations=199).p > 0.05

    def test_the_classifier_names_the_feature(self) -> None:
        random = np.random.default_rng(0)
        now = random.normal([0, 0.8, 0], size=(400, 3))
        found = domain_classifier(random.normal(size=(400, 3)), now, seed=0)
        assert found.auc.p < 0.001
        assert int(found.importance.argmax()) == 1

    def test_too_few_rows(self) -> None:
        assert np.isnan(domain_classifier(np.ones((10, 2)), np.ones((10, 2)), seed=0).auc.p)
        assert np.isnan(mmd(np.ones((1, 2)), np.ones((5, 2)), np.random.default_rng(0)).p)
