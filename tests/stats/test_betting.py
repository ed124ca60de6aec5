"""Betting sequences and time-uniform boundaries, against confseq's figures and against their promise."""

import numpy as np
import pytest

from app.stats import boundaries
from app.stats.betting import betting, log_capital, mean_excess, predicted_bets
from app.stats.intervals import clopper_pearson
from tests.stats.reference import named, same

X = (np.arange(500) % 20 != 7) * 1.0


class TestReferenceValues:
    @pytest.mark.reference
    def test_betting_martingale(self) -> None:
        same(log_capital(X, 0.9)[[99, 499]], "confseq betting_mart x, m=.9 log at 100, 500")

    @pytest.mark.reference
    def test_betting_sequence_to_one_grid_step(self) -> None:
        low, high = betting(X)
        same((low[99], high[99], low[499], high[499]), named("confseq betting_cs"), 1e-6, within=0.001)

    @pytest.mark.reference
    def test_boundaries(self) -> None:
        one = boundaries.normal_mixture(1000, 0.05, tightest_at=500)
        same(one, "confseq normal_mixture_bound(v=1000,alpha=.05,v_opt=500,alpha_opt=.05,one_sided)")
        two = boundaries.normal_mixture(1000, 0.05, tightest_at=500, one_sided=False)
        same(two, "confseq normal_mixture_bound two-sided")
        exponential = boundaries.gamma_exponential(100, 0.05, tightest_at=100, c=1)
        same(exponential, "confseq gamma_exponential_mixture_bound(v=100,a=.05,v_opt=100,c=1)")
        same(boundaries.poly_stitching(100, 0.05, least=10), "confseq poly_stitching_bound(100,.05,v_min=10)")
        rate = boundaries.beta_binomial(950, 1000, tightest_at=1000)
        same(rate, "confseq bernoulli_confidence_interval(950,1000,.05,t_opt=1000)")

    @pytest.mark.reference
    def test_rate_by_a_beta_mixture(self) -> None:
        found = boundaries.rate_log_e(80, 1000, 0.05, (100, 1900))
        same(found, "beta-mixture log e-value s=80 n=1000 q0=.05 prior Beta(100,1900)")

    @pytest.mark.reference
    def test_mixture_sequential_probability_ratio(self) -> None:
        same(boundaries.msprt(0.02, 5000, 0.25, 1e-4), "msprt normal mixture log e: xbar=.02, n=5000, sigma2=.25, tau2=1e-4")  # fmt: skip # noqa: E501


class TestBetting:
    @pytest.mark.parametrize(("values", "why"), [
        (np.zeros(60), "all at one end"),
        (np.ones(60), "all at the other"),
        (np.full(60, 0.5), "constant"),
        (np.array([0.3]), "one value"),
    ])  # fmt: skip
    def test_contains_the_mean_of_edge_cases(self, values: np.ndarray, why: str) -> None:
        low, high = betting(values)
        assert low[-1] <= values.mean() <= high[-1], why

    def test_nothing_gives_no_ends(self) -> None:
        low, high = betting([])
        assert (len(low), len(high)) == (0, 0)

    def test_narrows(self) -> None:
        low, high = betting(np.random.default_rng(1).beta(9, 1, 3000))
        assert high[-1] - low[-1] < 0.02

    def test_a_bet_sees_only_the_past(self) -> None:
        values = np.random.default_rng(2).random(40)
        other = np.concatenate((values[:30], 1 - values[30:]))
        assert predicted_bets(values)[:31].tolist() == predicted_bets(other)[:31].tolist()

    def test_refuses_values_outside_their_bounds(self) -> None:
        with pytest.raises(ValueError, match="x"):
            betting([0.5, 1.5])
        with pytest.raises(ValueError, match="d"):
            mean_excess([2.0])

    def test_an_excess_is_an_e_process(self) -> None:
        random = np.random.default_rng(3)
        for margin in (-0.2, 0.0, 0.1):
            d = np.where(random.random((4000, 60)) < (1 + margin) / 2, 1.0, -1.0)
            log_e = mean_excess(d, margin)
            assert (log_e.max(axis=1) >= np.log(20)).mean() <= 0.05 + 3 * np.sqrt(0.0475 / 4000)


class TestBoundaries:
    def test_an_e_value_as_p(self) -> None:
        assert boundaries.capped_p(-3.0) == 1.0
        assert boundaries.capped_p(np.log(20)) == pytest.approx(0.05)

    def test_no_rows_no_knowledge(self) -> None:
        assert boundaries.beta_binomial(0, 0, tightest_at=100) == (0.0, 1.0)

    @pytest.mark.parametrize("x", [0, 3, 97, 100])
    def test_a_rate_for_any_time_is_wider_than_for_one(self, x: int) -> None:
        low, high = boundaries.beta_binomial(x, 100, tightest_at=100)
        once = clopper_pearson(x, 100)
        assert low <= once[0]
        assert once[1] <= high < low + 0.2

    def test_hold_for_a_random_walk(self) -> None:
        """Never crossed by more than α of the walks, at any of 2,000 times."""
        walk = np.random.default_rng(5).choice([-1.0, 1.0], (500, 2000)).cumsum(axis=1)
        v = np.arange(1, 2001)
        for bound in (
            [boundaries.normal_mixture(t, 0.05, tightest_at=200) for t in v[::20]],
            [boundaries.gamma_exponential(t, 0.05, tightest_at=200, c=1) for t in v[::20]],
            [boundaries.poly_stitching(t, 0.05, least=10) for t in v[::20]],
        ):
            assert (walk[:, ::20] > np.array(bound)).any(axis=1).mean() <= 0.05 + 3 * np.sqrt(0.0475 / 500)

    def test_refuse_nonsense(self) -> None:
        with pytest.raises(ValueError, match="v must"):
            boundaries.tightest_rho(0.0)
        with pytest.raises(ValueError, match="least"):
            boundaries.poly_stitching(1, 0.05, least=0)
