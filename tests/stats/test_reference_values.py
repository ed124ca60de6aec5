"""The reference results (other packages' and published figures) that belong to these modules, to 1e-8 relative."""

import numpy as np
import pytest

from app.stats import intervals
from app.stats.auc import Ranks, delong_interval
from app.stats.claims import Claims
from app.stats.delong import delong
from app.stats.metrics import estimate
from app.stats.tally import Shape, Tally, Task
from tests.stats.reference import VALUES, same
from tests.stats.rows import tally
from tests.stats.simulations.coverage import tally_of

METHODS = {
    "wilson": intervals.wilson,
    "beta": intervals.clopper_pearson,
    "jeffreys": intervals.jeffreys,
    "agresti_coull": intervals.agresti_coull,
    "normal": intervals.normal,
}
Z = 1.959963984540054


def counts(tp: int, fp: int, fn: int, tn: int) -> Tally:
    sizes = (tp, fp, fn, tn)
    rows = {
        "actual": np.repeat([1.0, 0.0, 1.0, 0.0], sizes),
        "predicted": np.repeat([1, 1, 0, 0], sizes),
        "score": np.full(sum(sizes), np.nan),
        "delay_us": np.zeros(sum(sizes), np.int64),
    }
    return tally(Shape(Task.BINARY, 2), rows)


@pytest.mark.reference
@pytest.mark.parametrize("key", [key for key in VALUES if key.startswith("prop_ci")])
def test_proportions(key: str) -> None:
    rate, method = key.removeprefix("prop_ci[").removesuffix("]").split(",")
    same(METHODS[method](*map(int, rate.split("/"))), key)


@pytest.mark.reference
def test_difference_of_proportions() -> None:
    same(intervals.newcombe_diff(45, 500, 25, 500), "newcombe_diff[45/500 vs 25/500]")


@pytest.mark.reference
@pytest.mark.parametrize(("x", "n"), [(50, 1000), (2, 50), (500, 10_000)])
def test_beta_mixture_sequence(x: int, n: int) -> None:
    same(intervals.beta_mixture(x, n), f"beta-mixture CS for a rate s={x} n={n} alpha=.05 prior Beta(.5,.5)")


@pytest.mark.reference
def test_asymptotic_sequence() -> None:
    key = "asympCS half-width sd=.5 n=5000 alpha=.05 rho2=(-2log a+log(-2log a+1))/5000"
    same(intervals.asymptotic(0.5, 5000), key)


@pytest.mark.reference
def test_delong_of_two_scores() -> None:
    i = np.arange(200)
    actual = i % 4 == 0
    scores = np.stack((np.sin(1.7 * i) + 0.9 * actual, 0.8 * np.cos(2.3 * i) + 0.5 * actual))
    area, covariance = delong(actual, scores)
    z = (area[0] - area[1]) / np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    key = "delong y=(i%4==0), s1=sin(1.7i)+.9y, s2=.8cos(2.3i)+.5y, i<200: auc1,auc2,var1,var2,cov,z,p"
    same((*area, covariance[0, 0], covariance[1, 1], covariance[0, 1], z), key, part=slice(6))


@pytest.mark.reference
def test_logit_interval_of_an_area() -> None:
    """The reference takes z; with a million degrees of freedom Satterthwaite's t is z to 1e-6."""
    half = 0.0012335782020727758 / 2
    many = Ranks(*(np.array(value) for value in (0.7982666666666667, 0.0, half, half, 1e7, 1e7)))
    same(delong_interval(many, 0.95), "delong logit 95% CI auc1", 1e-6)


class TestCounts:
    TALLY = counts(90, 20, 30, 860)

    @pytest.mark.reference
    def test_values(self) -> None:
        found = [estimate(self.TALLY, name).value[0] for name in ("precision", "recall", "f1", "mcc", "kappa")]
        same(found, "counts tp90 fp20 fn30 tn860: precision, recall, F1, MCC, kappa")

    @pytest.mark.reference
    def test_f1_by_jaccard(self) -> None:
        j = [np.array(ends) for ends in (intervals.wilson(90, 140), intervals.clopper_pearson(90, 140))]
        same(2 * j[0] / (1 + j[0]), "F1 CI via Wilson on Jaccard tp/(tp+fp+fn) then 2q/(1+q)")
        same(2 * j[1] / (1 + j[1]), "F1 CI via Clopper-Pearson on Jaccard")
        found = estimate(self.TALLY, "f1")  # 140 cases are fewer than 200: the exact one is shown
        same((found.low, found.high), "F1 CI via Clopper-Pearson on Jaccard")

    @pytest.mark.reference
    def test_delta_error_of_f1(self) -> None:
        """With many rows every honest interval is the delta method's."""
        many = estimate(tally_of(np.array([[[860, 20], [30, 90]]]) * 10**12), "f1")
        error = (many.high - many.low) / (2 * Z) * 10**6
        same(error, "delta se of F1, MCC for these counts", 1e-6, part=slice(1))
        same(error, "F1 delta se closed form 2/(1+J)^2*sqrt(J(1-J)/n_u), J=tp/(tp+fp+fn)", 1e-6)

    @pytest.mark.reference
    def test_delta_error_of_mcc(self) -> None:
        found = estimate(self.TALLY, "mcc")
        error = (np.arctanh(found.high) - np.arctanh(found.low)) / (2 * Z) * (1 - found.value**2)
        same(error[0], "delta se of F1, MCC for these counts", 1e-6, part=slice(1, 2))


class TestProbabilities:
    ACTUAL = (np.arange(20) % 3 == 0) * 1.0
    SCORE = np.linspace(0.05, 0.95, 20)

    @pytest.mark.reference
    def test_losses(self) -> None:
        rows = {"actual": self.ACTUAL, "predicted": (self.SCORE >= 0.5) * 1, "score": self.SCORE}
        tallied = tally(Shape(Task.BINARY, 2), rows | {"delay_us": np.zeros(20, np.int64)})
        found = [estimate(tallied, name).value[0] for name in ("brier", "log_loss")]
        same(found, "y=(i%3==0), p=linspace(.05,.95,20): brier, logloss")

    @pytest.mark.reference
    def test_calibration_errors(self) -> None:
        bins = np.minimum((self.SCORE * 5).astype(int), 4)
        claimed, hits, rows = (
            np.bincount(bins, weights, 5) for weights in (self.SCORE, self.ACTUAL, np.ones_like(self.SCORE))
        )
        found = Claims(claimed, hits, rows)
        errors = (found.plug_in, found.plug_in_square, found.debiased_square)
        same(errors, "ECE 5 equal-width (l1), plug-in l2^2, debiased l2^2 (Kumar 2019)")


class TestRegression:
    @pytest.mark.reference
    def test_values_and_interval(self) -> None:
        i = np.arange(60)
        actual = 0.1 * i
        score = actual + 0.3 * np.sin(1.9 * i)
        rows = {"actual": actual, "predicted": i * 0, "score": score, "delay_us": i * 0}
        tallied = tally(Shape(Task.REGRESSION, 0), rows)
        found = [estimate(tallied, name).value[0] for name in ("mae", "rmse", "r2", "bias")]
        same(found, "regression y=.1i, yhat=y+.3sin(1.9i) i<60: MAE, RMSE, R2, bias")
        rmse = estimate(tallied, "rmse")
        same((rmse.low, rmse.high), "RMSE CI: sqrt of t-interval on squared errors")
