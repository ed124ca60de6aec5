"""Canaries: the conditional law against scipy and exact integers, decisions, the odds ratio's sequence, forecasts."""

import json
from collections.abc import Iterable
from fractions import Fraction
from math import comb, inf, log

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import nchypergeom_fisher

from app.stats import shadow
from app.stats.canary import Canary, Outcome, State, judge, mixture, odds_ratio, update
from app.stats.losses import Question, judge_bounded, judge_unbounded
from app.stats.oddsratio import log_likelihoods
from app.stats.paired import mcnemar_log_e
from app.stats.rollout import forecast
from tests.stats.reference import named, same

THREE = (((20, 450), (4, 50)), ((25, 448), (6, 52)), ((22, 453), (9, 47)))


def run(asked: Canary, buckets: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> State:
    state = State()
    for stable, new in buckets:
        state = update(asked, state, stable=stable, new=new)
    return state


class TestConditionalLaw:
    @pytest.mark.reference
    def test_reference_values(self) -> None:
        found = log_likelihoods(21, 450, 9, 50, np.log([1.0, 2.0]))
        same(found[1] - found[0], "fisher nc-hypergeometric logLR x=9 nb=50 na=450 s=30 OR=2 vs 1")

    @pytest.mark.parametrize(("x_a", "n_a", "x_b", "n_b", "why"), [
        (25, 450, 6, 50, "usual"),
        (0, 450, 3, 50, "all events in the canary"),
        (31, 400, 0, 400, "none there"),
        (400, 450, 48, 50, "many events"),
        (2, 3, 1, 2, "tiny"),
        (30, 5000, 40, 5000, "even"),
    ])  # fmt: skip
    def test_as_scipy(self, x_a: int, n_a: int, x_b: int, n_b: int, why: str) -> None:
        ratios = [0.2, 0.8, 1.0, 1.5, 5.0]
        found = log_likelihoods(x_a, n_a, x_b, n_b, np.log(ratios))
        theirs = [nchypergeom_fisher(n_a + n_b, n_b, x_a + x_b, ratio).logpmf(x_b) for ratio in ratios]
        assert np.diff(found) == pytest.approx(np.diff(theirs), abs=1e-8), why

    def test_exact_integers_where_scipy_gives_up(self) -> None:
        """12 of 1,735 against 648 of 2,132: 10⁻⁹⁰ of the mass."""
        x_a, n_a, x_b, n_b = 648, 2132, 12, 1735
        s = x_a + x_b

        def exact(ratio: Fraction) -> float:
            p, q = ratio.numerator, ratio.denominator  # Σ C C ωᵏ over ω^x, in whole numbers
            total = sum(comb(n_b, k) * comb(n_a, s - k) * p**k * q ** (s - k) for k in range(s + 1))
            mine = p**x_b * q ** (s - x_b)
            return _log(mine) - _log(total)

        found = log_likelihoods(x_a, n_a, x_b, n_b, np.log([0.25, 5.0]))
        assert float(found[1] - found[0]) == pytest.approx(exact(Fraction(5)) - exact(Fraction(1, 4)), rel=1e-11)

    def test_many_buckets_at_once(self) -> None:
        x_a, n_a, x_b, n_b = np.array([[25, 0], [3, 9000]]), [[450, 10], [30, 100_000]], [[6, 0], [0, 500]], 600
        many = log_likelihoods(x_a, n_a, x_b, n_b, np.log([0.5, 2.0]))
        for at in np.ndindex(2, 2):
            alone = log_likelihoods(x_a[at], n_a[at[0]][at[1]], x_b[at[0]][at[1]], n_b, np.log([0.5, 2.0]))
            assert many[at] == pytest.approx(alone, abs=1e-9)

    @pytest.mark.parametrize(("x_a", "n_a", "x_b", "n_b"), [(0, 450, 0, 50), (3, 450, 0, 0), (0, 0, 3, 50)])
    def test_nothing_to_compare_says_nothing(self, x_a: int, n_a: int, x_b: int, n_b: int) -> None:
        found = log_likelihoods(x_a, n_a, x_b, n_b, np.log([0.5, 1.0, 2.0]))
        assert found == pytest.approx(0.0, abs=1e-12)

    def test_refuses_more_events_than_rows(self) -> None:
        with pytest.raises(ValueError, match="more events"):
            log_likelihoods(5, 4, 0, 3, [0.0])


class TestDecisions:
    @pytest.mark.reference
    def test_reference_values(self) -> None:
        state, found = State(), []
        for stable, new in THREE:
            state = update(Canary(), state, stable=stable, new=new)
            found.append(mixture(state.worse))
        same(found, named("canary rollback log e"))

    @pytest.mark.parametrize(("stable", "new", "looks", "outcome", "why"), [
        ((22, 450), (5, 50), 60, Outcome.FAIL, "twice as bad"),
        ((12, 250), (12, 250), 20, Outcome.PASS, "equal, half the traffic"),
        ((12, 250), (12, 250), 2, Outcome.INCONCLUSIVE, "no difference seen is no pass"),
        ((13, 250), (16, 250), 20, Outcome.INCONCLUSIVE, "between not worse and the margin"),
        ((0, 450), (0, 50), 500, Outcome.NOT_ENOUGH_LABELS, "no event, however many rows"),
        ((1, 450), (0, 50), 1, Outcome.NOT_ENOUGH_LABELS, "one event"),
    ])  # fmt: skip
    def test_outcomes(self, stable: tuple[int, int], new: tuple[int, int], looks: int, outcome: str, why: str) -> None:
        state = run(Canary(), [(stable, new)] * looks)
        assert judge(Canary(), state).outcome is outcome, why

    def test_a_threshold_once_reached_stays_reached(self) -> None:
        state = run(Canary(), [((22, 450), (8, 50))] * 5 + [((40, 450), (0, 50))] * 20)
        found = judge(Canary(), state)
        assert (found.outcome, found.decided) == (Outcome.FAIL, True)
        assert mixture(state.worse) < found.log_worse_needed <= found.log_worse

    def test_state_survives_json_bit_for_bit(self) -> None:
        state = run(Canary(), THREE)
        assert State.from_json(json.loads(json.dumps(state.to_json()))) == state

    def test_refuses_a_question_without_a_margin(self) -> None:
        with pytest.raises(ValueError, match="margin"):
            Canary(margin=1.0)


class TestOddsRatio:
    def test_narrows_about_the_truth(self) -> None:
        state = run(Canary(), [((250, 5000), (24, 250))] * 20)
        found = odds_ratio(state)
        truth = (24 / 226) / (250 / 4750)
        assert found.value == pytest.approx(truth, rel=0.01)
        assert 0.75 * truth < found.low < truth < found.high < 1.3 * truth
        assert found.validity == "anytime"

    def test_is_rarely_wrong_at_any_look(self) -> None:
        random = np.random.default_rng(4)
        missed = 0
        for _ in range(150):
            state, wrong = State(), False
            for _ in range(15):
                new = (int(random.binomial(100, 0.1)), 100)
                state = update(Canary(), state, stable=(int(random.binomial(400, 0.05)), 400), new=new)
                found = odds_ratio(state, 0.9)
                wrong |= not found.low <= (0.1 / 0.9) / (0.05 / 0.95) <= found.high
            missed += wrong
        assert missed / 150 <= 0.1 + 3 * np.sqrt(0.09 / 150)

    def test_without_events_anything_may_be(self) -> None:
        found = odds_ratio(State())
        assert (found.low, found.high) == (0.0, inf)
        assert np.isnan(found.value)

    def test_one_sided_knowledge(self) -> None:
        found = odds_ratio(run(Canary(), [((0, 450), (5, 50))] * 8))
        assert found.high == inf
        assert found.low > 5


class TestForecast:
    @pytest.mark.parametrize(("odds", "labels", "outcome", "why"), [
        (2.1, (450, 50), Outcome.FAIL, "bad"),
        (1.0, (250, 250), Outcome.PASS, "equal"),
        (0.7, (250, 250), Outcome.PASS, "better"),
    ])  # fmt: skip
    def test_is_what_simulation_takes(self, odds: float, labels: tuple[int, int], outcome: str, why: str) -> None:
        bad, good = forecast(
            Canary(), rate=0.05, odds_ratio=odds, stable_labels=labels[0], new_labels=labels[1], bucket_seconds=60
        )
        expected = bad if outcome is Outcome.FAIL else good
        random, looks = np.random.default_rng(3), []
        high = odds * 0.05 / 0.95
        for _ in range(60):
            state = State()
            while not judge(Canary(), state).decided:
                n = random.poisson(labels)
                stable, new = random.binomial(n, [0.05, high / (1 + high)]).tolist()
                state = update(Canary(), state, stable=(stable, int(n[0])), new=(new, int(n[1])))
                assert sum(state.rows) < 200 * sum(labels), why
            looks.append(sum(state.rows) / sum(labels))
        assert expected.looks == pytest.approx(np.median(looks), rel=0.35), why
        assert np.mean(np.array(looks) <= expected.seconds_high / 60 + 1) >= 0.7, why

    def test_labels_come_later(self) -> None:
        asked = {"rate": 0.05, "odds_ratio": 2.0, "stable_labels": 450, "new_labels": 50, "bucket_seconds": 60}
        now, later = (forecast(Canary(), **asked, delay_seconds=d)[0].seconds for d in (0.0, 3600.0))
        assert later - now == 3600.0

    def test_between_the_hypotheses_it_may_never_end(self) -> None:
        asked = {"rate": 0.05, "stable_labels": 450, "new_labels": 50, "bucket_seconds": 60}
        assert forecast(Canary(), **asked, odds_ratio=1.5)[1].seconds == inf
        assert forecast(Canary(), **asked, odds_ratio=1.0)[0].seconds == inf


class TestShadow:
    @pytest.mark.reference
    def test_reference_value_of_the_two_sided_mixture(self) -> None:
        """The two one-sided mixtures average to it."""
        sides = np.logaddexp(shadow.log_above(25, 10, 1.0), shadow.log_above(10, 25, 1.0)) - log(2)
        assert float(sides) == pytest.approx(mcnemar_log_e(25, 10), rel=1e-10)
        same(sides, "mcnemar sequential e-value Beta(1,1) mixture b=25 c=10 (log)")

    def test_is_the_integral(self) -> None:
        at = 1.5 / 2.5
        mass = quad(lambda t: t**20 * (1 - t) ** 8, at, 1)[0] / (1 - at)
        assert shadow.log_above(20, 8, 1.5) == pytest.approx(log(mass) - 20 * log(at) - 8 * log(1 - at), rel=1e-9)

    @pytest.mark.parametrize(("b", "c", "outcome", "why"), [
        (40, 10, Outcome.FAIL, "mostly the shadow"),
        (200, 200, Outcome.PASS, "even"),
        (9, 8, Outcome.INCONCLUSIVE, "too few to tell"),
        (1, 0, Outcome.NOT_ENOUGH_LABELS, "one disagreement"),
    ])  # fmt: skip
    def test_outcomes(self, b: int, c: int, outcome: str, why: str) -> None:
        state = shadow.update(Canary(), shadow.State(), shadow_wrong=b, live_wrong=c)
        assert shadow.judge(Canary(), state).outcome is outcome, why

    def test_keeps_its_level_however_often_it_is_looked_at(self) -> None:
        random = np.random.default_rng(6)
        failed = 0
        for _ in range(300):
            state = shadow.State()
            for b in random.binomial(8, 0.5, 40).tolist():
                state = shadow.update(Canary(rollback_alpha=0.05), state, shadow_wrong=b, live_wrong=8 - b)
            failed += shadow.judge(Canary(rollback_alpha=0.05), state).outcome is Outcome.FAIL
        assert failed / 300 <= 0.05 + 3 * np.sqrt(0.0475 / 300)

    def test_refuses_negative_counts(self) -> None:
        with pytest.raises(ValueError, match="negative"):
            shadow.update(Canary(), shadow.State(), shadow_wrong=-1, live_wrong=0)


class TestLosses:
    @pytest.mark.parametrize(("mean", "outcome"), [(0.3, Outcome.FAIL), (-0.1, Outcome.PASS)])
    def test_bounded(self, mean: float, outcome: Outcome) -> None:
        d = np.clip(np.random.default_rng(1).normal(mean, 0.2, 200), -1, 1)
        found = judge_bounded(Question(0.2), d, bound=1.0)
        assert found.outcome is outcome
        assert found.difference.low < mean < found.difference.high

    @pytest.mark.parametrize(("mean", "spread", "outcome"), [
        (3.0, 3.0, Outcome.FAIL),
        (0.0, 3.0, Outcome.PASS),
        (1.0, 30.0, Outcome.INCONCLUSIVE),
    ])  # fmt: skip
    def test_unbounded(self, mean: float, spread: float, outcome: Outcome) -> None:
        d = np.random.default_rng(2).standard_t(5, 200) * spread + mean
        found = judge_unbounded(Question(2.0), d)
        assert found.outcome is outcome
        assert found.difference.low < mean < found.difference.high

    def test_few_buckets_decide_nothing(self) -> None:
        assert judge_unbounded(Question(1.0), [9.0] * 20).outcome is Outcome.NOT_ENOUGH_LABELS
        assert judge_bounded(Question(0.1), [], bound=1.0).outcome is Outcome.NOT_ENOUGH_LABELS
        assert judge_bounded(Question(0.1), [0.5] * 3, bound=1.0).outcome is Outcome.NOT_ENOUGH_LABELS

    def test_sizes_at_both_hypotheses(self) -> None:
        random = np.random.default_rng(7)
        question = Question(1.0, rollback_alpha=0.05)
        for mean, outcome in ((0.0, Outcome.FAIL), (1.0, Outcome.PASS)):
            wrong = sum(
                judge_unbounded(question, random.standard_t(4, 400) + mean).outcome is outcome for _ in range(400)
            )
            assert wrong / 400 <= 0.05 + 3 * np.sqrt(0.0475 / 400)


def _log(whole: int) -> float:
    """Natural logarithm of an integer beyond the range of floats."""
    bits = max(whole.bit_length() - 60, 0)
    return log(whole >> bits) + bits * log(2)
