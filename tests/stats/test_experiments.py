"""Experiments against reference results, published designs and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm

from app.stats import experiments
from app.stats.experiments import Shape, Stop
from tests.stats.reference import same


class TestCuped:
    def test_the_error_is_hc2_and_the_value_that_of_the_adjusted_regression(self) -> None:
        random = np.random.default_rng(0)
        x, arm = random.normal(size=300), random.random(300) < 0.4
        y = 0.8 * x + 0.2 * arm + random.normal(size=300)
        found = experiments.cuped(y, x, arm)
        adjusted = y - found.theta * (x - x.mean())
        fitted = sm.OLS(adjusted, sm.add_constant(arm * 1.0)).fit(cov_type="HC2")
        assert found.difference.effect.value == pytest.approx(fitted.params[1], rel=1e-10)
        error = found.difference.effect.value / found.difference.statistic
        assert error == pytest.approx(fitted.bse[1], rel=1e-10)

    def test_variance_falls_by_the_squared_correlation(self) -> None:
        random = np.random.default_rng(0)
        x = random.normal(size=40_000)
        y = 0.7 * x + np.sqrt(1 - 0.49) * random.normal(size=40_000)
        found = experiments.cuped(y, x, np.arange(40_000) % 2 == 0)
        assert found.ratio == pytest.approx(0.51, abs=0.02)

    def test_a_constant_covariate_changes_nothing(self) -> None:
        y, arm = np.sin(np.arange(50.0)), np.arange(50) % 2 == 0
        assert experiments.cuped(y, np.ones(50), arm).difference.p == experiments.welch(y[arm], y[~arm]).p

    def test_one_row_in_an_arm(self) -> None:
        assert np.isnan(experiments.cuped([1, 2, 3], [1, 2, 3], [True, False, False]).difference.p)


class TestSplit:
    @pytest.mark.reference
    def test_reference(self) -> None:
        found = experiments.srm([5000, 5210], [0.5, 0.5])
        same(found.p, "SRM chi2 [5000,5210] 50/50")
        same(found.log_e, "SRM sequential Dirichlet-multinomial log BF alpha=(1,1)*1 counts [5000,5210]")

    def test_a_wrong_split_blocks_and_a_right_one_does_not(self) -> None:
        assert experiments.srm([10_000, 9_000, 10_000], [1, 1, 1]).blocks
        assert not experiments.srm([100, 300], [0.25, 0.75]).blocks

    def test_looked_at_all_the_time_it_seldom_blocks(self) -> None:
        """e ≥ 20 at any of 500 looks, fair split: at most .05 (with 3 standard errors)."""
        random = np.random.default_rng(0)
        upto = random.binomial(20, 0.5, (400, 500)).cumsum(axis=1)
        n = 20 * np.arange(1, 501)
        crossed = [
            any(
                experiments.srm([x, m - x], [0.5, 0.5]).anytime_p <= 0.05
                for x, m in zip(row[::10], n[::10], strict=True)
            )
            for row in upto
        ]
        assert np.mean(crossed) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


class TestPlannedLooks:
    @pytest.mark.reference
    def test_reference(self) -> None:
        times = [0.2, 0.4, 0.6, 0.8, 1.0]
        key = "Lan-DeMets O'Brien-Fleming spending, two-sided .05, K=5 equal looks (tolerance 1e-3)"
        same(experiments.spending_bounds(times).z, key, within=1e-3)
        pocock = experiments.constant_bounds(5, Shape.POCOCK).z
        same(pocock[0], "Pocock constant K=5 two-sided .05 (tolerance 1e-3)", within=1e-3)
        classic = experiments.constant_bounds(5, Shape.OBRIEN_FLEMING).z[-1]
        same(classic, "classic O'Brien-Fleming constant K=5 two-sided .05 (tolerance 1e-3)", within=1e-3)

    @pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (3, 2.289), (4, 2.361), (10, 2.555)])
    def test_pocock_as_published(self, looks: int, constant: float) -> None:
        """Pocock 1977; Jennison and Turnbull 2000, table 2.1."""
        assert experiments.constant_bounds(looks, Shape.POCOCK).z[0] == pytest.approx(constant, abs=1e-3)

    @pytest.mark.parametrize("shape", list(Shape))
    def test_all_error_is_spent_at_the_end_and_no_more(self, shape: Shape) -> None:
        found = experiments.spending_bounds([0.1, 0.35, 0.5, 0.9, 1.0], shape)
        np.testing.assert_allclose(experiments.crossing(found.times, found.z), found.spent, atol=1e-8)
        assert found.spent[-1] == pytest.approx(0.05)

    def test_simulated_paths_stop_as_often(self) -> None:
        random = np.random.default_rng(0)
        found = experiments.spending_bounds([0.25, 0.5, 0.75, 1.0], Shape.POCOCK)
        path = np.cumsum(random.normal(scale=0.5, size=(40_000, 4)), axis=1) / np.sqrt(found.times)
        assert (np.abs(path) >= found.z).any(axis=1).mean() == pytest.approx(0.05, abs=0.0035)

    def test_repeated_intervals_are_wider_than_a_single_one(self) -> None:
        found = experiments.spending_bounds([0.5, 1.0]).interval(0, 1.0, 0.2, 100)
        assert found.low < 1 - 1.96 * 0.2

    @pytest.mark.parametrize("times", [[], [0.5, 0.5], [0.5, 1.2]], ids=["none", "repeated", "beyond"])
    def test_times_that_do_not_rise_are_refused(self, times: list[float]) -> None:
        with pytest.raises(ValueError, match="times"):
            experiments.spending_bounds(times)


class TestRatio:
    def test_bounds_are_walds(self) -> None:
        found = experiments.sprt(0, 0, 0.05, 0.1)
        np.testing.assert_allclose((found.accept_at, found.reject_at), (np.log(0.2 / 0.95), np.log(0.8 / 0.05)))

    def test_errors_are_kept(self) -> None:
        random = np.random.default_rng(0)
        wrong = 0
        for _ in range(400):
            x = np.cumsum(random.random(2000) < 0.05)
            ratio = x * np.log(2.0) + (np.arange(1, 2001) - x) * np.log(0.9 / 0.95)
            out = np.flatnonzero((ratio >= np.log(16)) | (ratio <= np.log(0.2 / 0.95)))[0]
            wrong += experiments.sprt(int(x[out]), int(out) + 1, 0.05, 0.1).decision is Stop.REJECT
        assert wrong / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)

    def test_equal_rates_are_refused(self) -> None:
        with pytest.raises(ValueError, match="different"):
            experiments.sprt(1, 2, 0.1, 0.1)


class TestBandit:
    def test_thompson_is_the_share_of_posterior_draws(self) -> None:
        random = np.random.default_rng(0)
        won, lost = np.array([30, 40, 5]), np.array([70, 60, 5])
        draws = random.beta(won + 1, lost + 1, (200_000, 3)).argmax(axis=1)
        wanted = 0.05 + 0.85 * np.bincount(draws) / 200_000
        np.testing.assert_allclose(experiments.thompson(won, lost), wanted, atol=0.004)

    def test_no_arm_falls_below_the_floor(self) -> None:
        for shares in (experiments.thompson([1000, 0], [0, 1000]), experiments.ucb1([1000, 0], [0, 1000])):
            assert shares.min() == pytest.approx(0.05)
            assert shares.sum() == pytest.approx(1)

    def test_estimates_after_it_are_honest_where_raw_means_are_not(self) -> None:
        random = np.random.default_rng(1)
        truth, misses, raw = np.array([0.5, 0.5]), 0, []
        for _ in range(40):
            won, lost = np.zeros(2), np.zeros(2)
            arms, rewards, logged = [], [], []
            for _ in range(30):
                shares = experiments.thompson(won, lost)
                arm = (random.random(40) < shares[1]) * 1
                reward = random.random(40) < truth[arm]
                np.add.at(won, arm, reward)
                np.add.at(lost, arm, ~reward)
                arms.append(arm)
                rewards.append(reward)
                logged.append(np.tile(shares, (40, 1)))
            arm, reward, pi = np.concatenate(arms), np.concatenate(rewards), np.concatenate(logged)
            found = experiments.difference_after_bandit(reward, arm, pi, 0, 1)
            misses += not found.low <= 0 <= found.high
            raw.append(min(won / (won + lost)))
        assert misses / 40 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
        assert np.mean(raw) < 0.49

    def test_an_arm_that_could_not_be_drawn_is_refused(self) -> None:
        with pytest.raises(ValueError, match="propensity"):
            experiments.after_bandit([1.0], [0], [0.0], 0)

    def test_too_few_rows_have_no_interval(self) -> None:
        assert np.isnan(experiments.after_bandit([1.0] * 10, [0] * 10, [0.5] * 10, 0).low)

    def test_choosing_follows_the_shares(self) -> None:
        picks = [experiments.choose([0.2, 0.5, 0.3], u) for u in (0.0, 0.19, 0.21, 0.69, 0.71, 0.999999)]
        assert picks == [0, 0, 1, 1, 2, 2]
