"""Drift of small samples: p by permutation is exact, and features are ranked by what they are beyond their margin."""

import numpy as np
import pytest
from scipy.stats import kstest, permutation_test, wasserstein_distance

from app.stats.divergence import permuted_js
from app.stats.drift import NumberReference, causes, counted, numbers
from app.stats.ecdf import Sorted, permuted_wasserstein


class TestWasserstein:
    def test_is_scipys_permutation_test(self) -> None:
        random = np.random.default_rng(0)
        a, b = random.normal(size=60), random.normal(0.35, 1.2, 45)
        wanted = permutation_test(
            (a, b), wasserstein_distance, permutation_type="independent", n_resamples=1999, alternative="greater",
            rng=random,
        ).pvalue  # fmt: skip
        assert permuted_wasserstein(Sorted.of(a), Sorted.of(b), random, permutations=1999) == pytest.approx(
            wanted, abs=0.03
        )

    def test_is_uniform_where_nothing_changed(self) -> None:
        random = np.random.default_rng(1)
        p = [
            permuted_wasserstein(
                Sorted.of(random.lognormal(size=30)), Sorted.of(random.lognormal(size=20)), random, permutations=199
            )
            for _ in range(300)
        ]
        assert kstest(p, "uniform").pvalue > 0.001

    def test_an_empty_sample_has_none(self) -> None:
        assert np.isnan(permuted_wasserstein(Sorted.of([]), Sorted.of([1.0]), np.random.default_rng(0)))


class TestJensenShannon:
    def test_keeps_its_size_where_the_limit_law_does_not(self) -> None:
        """Ten bins that expect one row each."""
        random = np.random.default_rng(2)
        p = [permuted_js(*random.multinomial(10, np.full(10, 0.1), 2), random, permutations=199) for _ in range(400)]
        assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.0475 / 400)

    def test_none_and_all(self) -> None:
        random = np.random.default_rng(0)
        assert np.isnan(permuted_js([0, 0], [1, 2], random))
        assert permuted_js([50, 0], [0, 50], random) == 0.001


class TestNumbers:
    def test_small_samples_are_permuted_when_asked(self) -> None:
        random = np.random.default_rng(3)
        reference, now = NumberReference.of(random.normal(size=500)), random.normal(0.5, 1, 400)
        found = numbers(reference, now, random=random)
        assert found.measures["wasserstein"].p == 0.001
        assert "permutation" in found.measures["js"].effect.method
        assert "wasserstein" in found.by
        assert "permutation" not in numbers(reference, now).measures["js"].effect.method
        large = NumberReference.of(random.normal(size=6000))
        assert "permutation" not in numbers(large, now, random=random).measures["js"].effect.method


def test_causes_come_in_the_order_of_what_they_are_beyond_their_margin() -> None:
    found = {
        "b": counted([500, 500], [400, 600]),
        "a": counted([500, 500], [500, 500]),
        "d": counted([5000, 5000], [1000, 9000]),
        "c": counted([500, 500], [250, 750]),
        "e": counted([0, 0], [0, 0]),
    }
    assert causes(found)[:2] == ("d", "c")
    assert set(causes(found)) == set(found)
