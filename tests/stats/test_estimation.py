"""Estimates without labels, with few, with bought ones: reference results, scikit-learn, what they must say."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss, precision_score, recall_score
from sklearn.metrics import roc_auc_score as sklearn_auc

from app.stats import estimation
from app.stats.cbpe import FEW, METRICS, UNCHANGED
from app.stats.codes import SCORE_BINS, score_bin
from app.stats.ppi import power_weight
from app.stats.reweighting import dle, m_cbpe
from app.stats.selective import LEAST_PROBABILITY, hajek, plan
from tests.stats.reference import same

FEW_ROWS, MANY_ROWS = np.arange(100), np.arange(2000)


def rows(
    n: int, seed: int, *, shift: float = 0.0, over: float = 1.0
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    random = np.random.default_rng(seed)
    x = 1.5 * random.normal(size=n) + shift
    return expit(over * x), random.random(n) < expit(x)


class TestFewLabels:
    Y = (FEW_ROWS % 5 != 0) * 1.0

    @pytest.mark.reference
    @pytest.mark.parametrize("weight", [None, 1, 0.5])
    def test_reference(self, weight: float | None) -> None:
        f = 0.5 + 0.3 * np.sin(1.3 * FEW_ROWS) + 0.15 * self.Y
        more = 0.5 + 0.3 * np.sin(1.7 * MANY_ROWS) + 0.15 * (MANY_ROWS % 5 != 1)
        found = estimation.ppi_mean(self.Y, f, more, weight=weight)
        key = (
            "ppi_py Y=(i%5!=0), Yhat=.5+.3sin(1.3i)+.15Y (i<100), Yu=.5+.3sin(1.7j)+.15(j%5!=1) (j<2000), "
            f"lam={weight}: est,lo,hi"
        )
        same((found.value, found.low, found.high), key)

    @pytest.mark.reference
    def test_reference_of_strong_predictions(self) -> None:
        f = np.clip(0.4 * self.Y + 0.4 + 0.15 * np.sin(FEW_ROWS), 0, 1)
        more = np.clip(0.4 * (MANY_ROWS % 5 != 1) + 0.4 + 0.15 * np.sin(1.3 * MANY_ROWS), 0, 1)
        key = (
            "ppi++ mean: Y=(i%5!=0) i<100, Yhat=clip(.4Y+.4+.15sin i,0,1), "
            "Yhat_u=clip(.4*(i%5!=1)+.4+.15sin(1.3i),0,1) i<2000: est, lo, hi"
        )
        found = estimation.ppi_mean(self.Y, f, more)
        same((found.value, found.low, found.high), key)
        same((found.value, found.low, found.high), "ppi (lam=1)")
        weight = power_weight(self.Y, f, more) * 100 / 99  # the reference divides the covariance by n − 1
        same(weight, "own power-tuned lambda (cov ddof1 / pooled var ddof1 / (1+n/N))")

    def test_few_errors_fall_back_on_the_labels(self) -> None:
        found = estimation.ppi_rate(self.Y, self.Y, np.full(1000, 0.8))
        assert found.method == "clopper-pearson on labels"
        assert "not used" in found.assumption

    def test_good_predictions_save_labels(self) -> None:
        random = np.random.default_rng(0)
        y, more = random.random(500) < 0.8, random.random(20_000) < 0.8
        found = estimation.ppi_rate(y, 0.9 * y + 0.05, 0.9 * more + 0.05)
        assert found.n_eff > 1000

    def test_no_labels(self) -> None:
        assert np.isnan(estimation.ppi_rate([], [], [0.5]).value)

    def test_at_any_time(self) -> None:
        found = estimation.ppi_anytime(np.full(1000, np.nan), np.full(1000, 0.5), np.full(1000, 0.1))
        assert (found.validity, found.value) == ("anytime", 0.5)
        assert np.isnan(estimation.ppi_anytime([1.0], [0.5], [0.5]).low)


class TestNoLabels:
    @pytest.mark.parametrize("over", [1.0, 2.0], ids=["honest scores", "overconfident scores"])
    @pytest.mark.parametrize("shift", [0.0, 1.0], ids=["as in the reference", "shifted inputs"])
    def test_every_metric_is_near_what_labels_show(self, over: float, shift: float) -> None:
        known = estimation.Recalibration.of_rows(*rows(100_000, 1, over=over))
        score, y = rows(200_000, 2, shift=shift, over=over)
        above, counts = score >= 0.5, estimation.count_scores(score)
        real = {
            "accuracy": accuracy_score(y, above),
            "precision": precision_score(y, above),
            "recall": recall_score(y, above),
            "specificity": recall_score(~y, ~above),
            "f1": f1_score(y, above),
            "roc_auc": sklearn_auc(y, score),
            "brier": brier_score_loss(y, score),
            "log_loss": log_loss(y, score),
        }
        assert set(real) == set(METRICS)
        for name, value in real.items():
            found = estimation.cbpe(known, counts, name)
            spare = 1.6 * (found.seen_high[0] - found.seen_low[0]) / 2
            assert abs(found.value[0] - value) < spare, name
            assert abs(found.value[0] - value) < 0.011, name

    def test_agrees_with_isotonic_calibration(self) -> None:
        score, y = rows(50_000, 1, over=1.5)
        now = rows(50_000, 2, shift=0.5, over=1.5)[0]
        chance = IsotonicRegression(out_of_bounds="clip").fit(score, y).predict(now)
        wanted = np.where(now >= 0.5, chance, 1 - chance).mean()
        found = estimation.cbpe(estimation.Recalibration.of_rows(score, y), estimation.count_scores(now))
        assert found.value[0] == pytest.approx(wanted, abs=0.002)

    def test_is_exact_on_its_own_reference(self) -> None:
        score, y = rows(5000, 3, over=2.0)
        found = estimation.cbpe(estimation.Recalibration.of_rows(score, y), estimation.count_scores(score))
        assert found.value[0] == pytest.approx(((score >= 0.5) == y).mean(), abs=0.003)

    def test_few_calibration_labels_widen_and_warn(self) -> None:
        counts = estimation.count_scores(rows(5000, 2)[0])
        few = estimation.cbpe(estimation.Recalibration.of_rows(*rows(300, 1)), counts)
        many = estimation.cbpe(estimation.Recalibration.of_rows(*rows(30_000, 1)), counts)
        assert few.note == FEW
        assert few.high[0] - few.low[0] > 3 * (many.high[0] - many.low[0])

    def test_too_few_labels_withhold_the_number(self) -> None:
        found = estimation.cbpe(estimation.Recalibration.of_rows(*rows(50, 1)), estimation.count_scores([0.5]))
        assert np.isnan(found.value).all()
        assert np.isnan(estimation.cbpe(estimation.Recalibration.of([0] * 1024, [0] * 1024), [1] * 1024).low).all()

    def test_no_rows_now(self) -> None:
        known = estimation.Recalibration.of_rows(*rows(2000, 1))
        found = estimation.cbpe(known, np.stack([np.zeros(SCORE_BINS), estimation.count_scores([0.2, 0.9])]))
        assert np.isnan(found.value).tolist() == [True, False]

    def test_says_what_it_cannot_see_and_never_promotes(self) -> None:
        found = estimation.cbpe(estimation.Recalibration.of_rows(*rows(2000, 1)), estimation.count_scores([0.5]))
        assert found.assumption == UNCHANGED
        assert "concept drift cannot be seen" in found.at(0).assumption
        assert not found.may_promote

    def test_an_unknown_metric_is_refused(self) -> None:
        with pytest.raises(ValueError, match="metric"):
            estimation.cbpe(estimation.Recalibration.of_rows(*rows(200, 1)), np.ones(SCORE_BINS), "mcc")

    def test_gradients_are_those_of_differences(self) -> None:
        """The calibration's variance goes through the slopes: one group's frequency is moved by hand."""
        score, y = rows(3000, 1)
        bins = score_bin(score)
        hit, row = np.bincount(bins, y, SCORE_BINS), np.bincount(bins, minlength=SCORE_BINS)
        known = estimation.Recalibration.of(hit, row)
        inside = np.flatnonzero(known.group == known.variance.size // 2)
        moved = hit.copy()
        moved[inside[row[inside] > 0][0]] += 0.5
        other = estimation.Recalibration.of(moved, row)
        step = 0.5 / row[inside].sum()
        slope = (other.chance - known.chance)[inside] / step
        np.testing.assert_allclose(slope, known.response[inside], rtol=0.05)

    def test_atc_is_a_second_opinion(self) -> None:
        score, y = rows(20_000, 1)
        right = (score >= 0.5) == y
        hits = np.bincount(score_bin(score), right, SCORE_BINS)
        now, real = rows(20_000, 2, shift=0.7)
        found = estimation.atc(hits, estimation.count_scores(score), estimation.count_scores(now))
        assert found.value == pytest.approx(((now >= 0.5) == real).mean(), abs=0.02)
        same_rows = estimation.atc(hits, estimation.count_scores(score), estimation.count_scores(score))
        assert same_rows.value == pytest.approx(right.mean(), abs=1e-9)

    def test_too_few_for_atc(self) -> None:
        assert np.isnan(estimation.atc(*[np.zeros(SCORE_BINS)] * 3).value)


class TestByFeatures:
    def test_m_cbpe_follows_a_shift_that_scores_hide(self) -> None:
        """The score ignores the group that decides whether it is right; the group grows."""
        random = np.random.default_rng(0)

        def drawn(n: int, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
            group = random.random(n) < share
            score = random.choice([0.2, 0.8], n)
            return group[:, None] * 1.0, score, random.random(n) < np.where(group, 0.5, score)

        (x, score, y), (x_now, score_now, y_now) = drawn(6000, 0.2), drawn(6000, 0.7)
        real = ((score_now >= 0.5) == y_now).mean()
        plain = estimation.cbpe(estimation.Recalibration.of_rows(score, y), estimation.count_scores(score_now))
        found = m_cbpe(x, score, y, x_now, score_now, seed=0)
        assert abs(plain.value[0] - real) > 0.1
        assert found.estimate.value[0] == pytest.approx(real, abs=0.02)
        assert found.overlaps
        assert found.estimate.method == "m-cbpe"

    def test_dle_withholds_with_few_labels(self) -> None:
        assert np.isnan(dle(np.ones((10, 1)), np.ones(10), np.ones((5, 1)), seed=0).low)


class TestGrading:
    def test_too_few_buckets(self) -> None:
        found = estimation.grade([0.8] * 5, [0.7] * 5, [0.9] * 5, [0.8, 0.8, np.nan, np.nan, np.nan])
        assert found.grade is estimation.Grade.UNGRADED
        assert np.isnan(found.gaps).sum() == 3

    def test_bands_that_hold_too_seldom(self) -> None:
        real = 0.8 + 0.1 * np.tile([1.0, -1.0], 20)
        found = estimation.grade([0.8] * 40, [0.78] * 40, [0.82] * 40, real)
        assert found.grade is estimation.Grade.TOO_NARROW


class TestBoughtLabels:
    def test_equal_probabilities_are_a_plain_rate(self) -> None:
        found = hajek([1, 1, 1, 0] * 50, [0.1] * 200)
        assert found.value == 0.75
        assert found.n_eff == pytest.approx(199, abs=1.5)

    def test_weights_undo_the_choice(self) -> None:
        random = np.random.default_rng(0)
        chance = np.where(random.random(200_000) < 0.9, 0.99, 0.6)
        pi = np.where(chance > 0.9, 0.01, 0.2)
        asked = random.random(200_000) < pi
        y = random.random(200_000) < chance
        found = hajek(y[asked] * 1.0, pi[asked])
        assert found.low < 0.9 * 0.99 + 0.1 * 0.6 < found.high
        assert abs(y[asked].mean() - 0.951) > 0.1

    def test_plan_spends_its_budget_within_bounds(self) -> None:
        chance, sizes = np.array([0.999, 0.9, 0.5, 1.0]), np.array([50_000, 5_000, 500, 10_000])
        found = plan(sizes, chance, 2_000)
        assert found.labels.sum() == pytest.approx(2000, rel=1e-6)
        assert ((found.probability >= LEAST_PROBABILITY) & (found.probability <= 1)).all()
        assert found.gain > 1.5

    @pytest.mark.parametrize(("budget", "why"), [(1e6, "more than all rows"), (100, "all rows")])
    def test_plan_asks_all_when_it_can(self, budget: float, why: str) -> None:
        assert plan([50, 50], [0.5, 0.9], budget).probability.tolist() == [1, 1], why

    def test_certain_strata_are_sampled_evenly(self) -> None:
        assert plan([500, 500], [1.0, 1.0], 100).probability.round(6).tolist() == [0.1, 0.1]

    def test_probabilities_outside_are_refused(self) -> None:
        with pytest.raises(ValueError, match="probability"):
            hajek([1.0, 0.0], [0.0, 0.5])
        assert np.isnan(hajek([1.0], [0.5]).low)
