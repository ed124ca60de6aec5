"""Comparisons against reference results, scipy, statsmodels, brute force."""

from itertools import product

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from app.stats import comparison as compare
from app.stats.delong import delong
from tests.stats.reference import D_NAME, D, same

CV = f"nadeau_bengio d={D} n_test/n_train=1/9: t, p(df=9)"
FIVE = [[0.02, 0.01], [0.015, 0.03], [0.01, 0.02], [0.025, 0.02], [0.005, 0.015]]
SETS = [
    [0.81, 0.83, 0.8],
    [0.75, 0.78, 0.77],
    [0.9, 0.91, 0.88],
    [0.66, 0.7, 0.69],
    [0.72, 0.71, 0.7],
    [0.84, 0.88, 0.85],
]


class TestSameItems:
    @pytest.mark.reference
    def test_reference(self) -> None:
        same(compare.mcnemar_exact(25, 10), "mcnemar exact b=25 c=10")
        same(compare.mcnemar_chi2(25, 10), "mcnemar chi2cc b=25 c=10")
        same(compare.mcnemar_mid_p(25, 10), "mcnemar midp b=25 c=10")
        same(compare.mcnemar_log_e(25, 10), "mcnemar sequential e-value Beta(1,1) mixture b=25 c=10 (log)")

    @pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 7), (3, 3), (40, 61), (500, 420)])
    def test_exact_is_that_of_statsmodels(self, b: int, c: int) -> None:
        wanted = 1.0 if b + c == 0 else statsmodels_mcnemar([[10, b], [c, 10]], exact=True).pvalue
        assert compare.mcnemar_exact(b, c) == pytest.approx(wanted, rel=1e-12)

    @pytest.mark.parametrize(("b", "c", "n"), [(25, 10, 1000), (12, 2, 50), (0, 5, 40), (0, 0, 30), (30, 0, 30)])
    def test_tango_inverts_the_score_test_by_direct_maximisation(self, b: int, c: int, n: int) -> None:
        for end in compare.tango(b, c, n):
            if abs(end) < 1 - 1e-9:
                assert score_of(end, b, c, n) == pytest.approx(1.959963984540054, rel=1e-4)

    def test_newcombe_is_that_published(self) -> None:
        """Newcombe 1998 (paired), table III."""
        assert np.round(compare.newcombe_paired(36, 12, 2, 0), 4).tolist() == [0.0569, 0.3404]

    def test_nothing_discordant_is_no_difference_and_no_certainty(self) -> None:
        found = compare.mcnemar(20, 0, 0, 0)
        assert found.p == 1
        assert found.effect.low < -0.05 < 0.05 < found.effect.high

    def test_no_items(self) -> None:
        assert np.isnan(compare.mcnemar(0, 0, 0, 0).effect.low)

    @pytest.mark.reference
    def test_delong_reference(self) -> None:
        i = np.arange(200)
        y = i % 4 == 0
        found = compare.delong_pair(y, np.sin(1.7 * i) + 0.9 * y, 0.8 * np.cos(2.3 * i) + 0.5 * y)
        key = "delong y=(i%4==0), s1=sin(1.7i)+.9y, s2=.8cos(2.3i)+.5y, i<200: auc1,auc2,var1,var2,cov,z,p"
        same((found.statistic, found.p), key, part=slice(5, 7))

    def test_ties_are_half_won_as_in_sklearn(self) -> None:
        random = np.random.default_rng(3)
        y, score = random.random(500) < 0.3, random.integers(0, 8, (2, 500)).astype(float)
        areas, covariance = delong(y, score)
        np.testing.assert_allclose(areas, [roc_auc_score(y, row) for row in score], rtol=1e-12)
        x, z = score[:, y], score[:, ~y]
        won = (x[:, :, None] > z[:, None]) + 0.5 * (x[:, :, None] == z[:, None])
        wanted = np.cov(won.mean(2)) / x.shape[1] + np.cov(won.mean(1)) / z.shape[1]
        np.testing.assert_allclose(covariance, wanted, rtol=1e-10)

    @pytest.mark.parametrize("y", [[True, True, True], [True, False, False]], ids=["one outcome", "one positive"])
    def test_too_few_of_an_outcome_is_said(self, y: list[bool]) -> None:
        found = compare.delong_pair(y, [1, 2, 3], [3, 2, 1])
        assert np.isnan(found.p)
        assert "two rows" in found.effect.assumption

    def test_a_model_against_itself(self) -> None:
        y = np.arange(30) % 3 == 0
        assert compare.delong_pair(y, np.arange(30), np.arange(30)).p == 1


def score_of(delta: float, b: int, c: int, n: int) -> float:
    """The score statistic at Δ with the nuisance found by an optimiser."""

    def loss(q: float) -> float:
        return -(b * np.log(q + delta) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - delta))

    low, high = max(0.0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12
    q = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-14}).x
    return float(abs(b - c - n * delta) / np.sqrt(n * (2 * q + delta * (1 - delta))))


class TestFolds:
    @pytest.mark.reference
    def test_reference(self) -> None:
        corrected = compare.nadeau_bengio(D, 1 / 9)
        same((corrected.statistic, corrected.p), CV)
        t, f = compare.five_by_two_t(FIVE), compare.five_by_two_f(FIVE)
        same((t.statistic, t.p), f"5x2cv paired t: t,p(df=5) D={FIVE}")
        same((f.statistic, f.p), "5x2cv combined F (Alpaydin): F,p(10,5)")
        found = compare.correlated_bayes(D, 0.005, 1 / 9)
        key = f"Bayesian correlated t, rope .005, runs 1, x=0, y={D_NAME}: left, rope, right (tolerance 1e-6)"
        same((found.left, found.within, found.right), key, 1e-6)

    @pytest.mark.reference
    def test_the_naive_t_is_what_correcting_a_mean_of_independent_ones_leaves(self) -> None:
        key = f"paired t {D_NAME}: t, p"
        found = compare.nadeau_bengio(D, 1e-12)
        same((found.statistic, found.p), key)

    def test_one_fold_is_no_test(self) -> None:
        assert np.isnan(compare.nadeau_bengio([0.1], 1 / 9).p)

    def test_equal_folds(self) -> None:
        assert compare.nadeau_bengio([0.0, 0.0], 1 / 9).p == 1
        assert compare.correlated_bayes([0.1, 0.1], 0.01, 1 / 9).right == 1

    @pytest.mark.parametrize("bad", [[[1.0, 2.0]], [1.0] * 10], ids=["one replication", "flat"])
    def test_refuses_what_is_not_five_by_two(self, bad: list[object]) -> None:
        with pytest.raises(ValueError, match="differences"):
            compare.five_by_two_f(bad)


class TestDataSets:
    @pytest.mark.reference
    def test_reference(self) -> None:
        found = compare.wilcoxon(D)
        same((found.statistic, found.p), f"wilcoxon signed-rank exact {D_NAME}: statistic, p")
        ranking = compare.friedman(SETS)
        same((ranking.chi2, ranking.chi2_p), f"friedman X={SETS}")
        same(ranking.critical_difference, "nemenyi CD .05 k=3 N=6")

    @pytest.mark.parametrize("seed", range(4))
    def test_exact_with_ties_and_zeros_is_that_of_all_sign_changes(self, seed: int) -> None:
        d = np.rint(2 * np.random.default_rng(seed).normal(size=11))
        if (d != 0).sum() < 6:
            d[:6] = [1, 2, 3, -1, 2, 1]
        ranks = stats.rankdata(np.abs(d))[d != 0]
        sums = np.array([np.dot(signs, ranks) for signs in product((0, 1), repeat=ranks.size)])
        seen = min(ranks[d[d != 0] > 0].sum(), ranks[d[d != 0] < 0].sum())
        assert compare.wilcoxon(d).p == pytest.approx(min(1.0, 2 * (sums <= seen + 1e-9).mean()), rel=1e-10)

    def test_many_pairs_as_scipy(self) -> None:
        d = np.random.default_rng(0).normal(0.2, size=80)
        wanted = stats.wilcoxon(d, method="asymptotic", correction=False)
        assert compare.wilcoxon(d).p == pytest.approx(wanted.pvalue, rel=1e-9)

    def test_five_pairs_are_refused(self) -> None:
        found = compare.wilcoxon([1, 2, 3, 4, 5])
        assert np.isnan(found.p)
        assert "cannot reach .05" in found.effect.assumption

    def test_friedman_with_ties_as_scipy(self) -> None:
        x = np.random.default_rng(1).integers(0, 4, (12, 5)).astype(float)
        wanted = stats.friedmanchisquare(*x.T)
        assert compare.friedman(x).chi2 == pytest.approx(wanted.statistic, rel=1e-10)

    @pytest.mark.parametrize(("k", "n"), [(3, 6), (5, 30), (10, 14)])
    def test_critical_difference_as_scipy(self, k: int, n: int) -> None:
        q = stats.studentized_range.ppf(0.95, k, np.inf)
        wanted = q / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n))
        assert compare.critical_difference(k, n) == pytest.approx(wanted, rel=1e-6)

    def test_all_tied_is_no_difference(self) -> None:
        assert compare.friedman(np.ones((5, 3))).chi2_p == 1

    def test_against_the_control_by_holm(self) -> None:
        ranking = compare.friedman(SETS)
        assert np.isnan(compare.against_control(ranking, 0)[0])
        assert (compare.against_control(ranking, 0)[1:] >= 0.0).all()


class TestBootstrap:
    @pytest.mark.reference
    def test_reference(self) -> None:
        found = compare.bca(compare.mean_of(D), len(D), np.random.default_rng(0))
        key = f"BCa of the mean, {D_NAME}, 9999 resamples (tolerance 3e-4)"
        same((found.low, found.high), key, 1e-8, within=3e-4)

    def test_a_skewed_mean_as_scipy(self) -> None:
        x = np.random.default_rng(5).exponential(size=60)
        found = compare.bca(compare.mean_of(x), 60, np.random.default_rng(1))
        wanted = stats.bootstrap((x,), np.mean, random_state=np.random.default_rng(2)).confidence_interval
        np.testing.assert_allclose((found.low, found.high), wanted, atol=0.012)

    def test_clusters_widen_what_is_alike_inside(self) -> None:
        random = np.random.default_rng(0)
        x = np.repeat(random.normal(size=50), 10)
        alone = compare.bca(compare.mean_of(x), 500, random, resamples=999)
        together = compare.bca(compare.mean_of(x), 500, random, clusters=np.arange(500) // 10, resamples=999)
        assert (together.high - together.low) > 2.5 * (alone.high - alone.low)
        assert together.n_eff == 50

    def test_what_no_resample_changes_has_no_interval(self) -> None:
        found = compare.bca(compare.mean_of(np.ones(20)), 20, np.random.default_rng(0), resamples=99)
        assert np.isnan(found.low)

    def test_counts_and_delong_agree_on_areas(self) -> None:
        random = np.random.default_rng(0)
        y = random.random(4000) < 0.3
        scores = y + random.normal(size=(2, 4000))
        by_counts = compare.auc_bootstrap(y, np.round(scores, 2), seed=1, resamples=1000)[2]
        by_delong = compare.delong_pair(y, *np.round(scores, 2)).effect
        assert by_counts.value == pytest.approx(by_delong.value, abs=1e-12)
        np.testing.assert_allclose((by_counts.low, by_counts.high), (by_delong.low, by_delong.high), atol=2e-3)

    def test_the_same_seed_gives_the_same_bits(self) -> None:
        y, score = np.arange(50) % 2 == 0, np.sin(np.arange(50.0))
        assert compare.auc_bootstrap(y, score, seed=3, resamples=50) == compare.auc_bootstrap(
            y, score, seed=3, resamples=50
        )

    def test_multinomial_and_rows_agree(self) -> None:
        random = np.random.default_rng(0)
        d = np.repeat([1.0, -1.0, 0.0], [60, 30, 910])
        by_rows = compare.bca(compare.mean_of(d), 1000, random, resamples=2000)
        by_counts = compare.paired_accuracy(60, 30, 1000, random)
        np.testing.assert_allclose((by_counts.low, by_counts.high), (by_rows.low, by_rows.high), atol=2e-3)


def test_every_result_says_what_it_rests_on() -> None:
    found = compare.mcnemar(80, 12, 3, 5).effect
    assert (found.n, found.n_eff, found.validity) == (100, 15, "fixed-n")
    assert found.method
    assert found.assumption
