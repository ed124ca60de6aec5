"""Label delay and maturity: what is still to come is told from what never comes."""

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from app.stats.codes import DELAY_EDGES_S, delay_bin
from app.stats.delays import DelayCurve, ages, kaplan_meier, maturity

HOUR, DAY = 3600.0, 86400.0


class Feed:
    """An hourly bucketed stream seen at its end: exponential delays, a share that never comes, perhaps an outage."""

    def __init__(
        self, days: int, an_hour: int, mean_delay: float, ever: float, outage: tuple[int, int] | None = None
    ) -> None:
        random = np.random.default_rng(11)
        hours = days * 24
        born = np.repeat(np.arange(hours), an_hour) * HOUR + random.random(hours * an_hour) * HOUR
        delay = random.exponential(mean_delay, born.size)
        delay[random.random(born.size) > ever] = np.inf
        bucket = (born // HOUR).astype(int)
        if outage is not None:
            lost = (bucket >= outage[0]) & (bucket < outage[1]) & (random.random(born.size) < 0.9)
            delay[lost] = np.inf
        self.age = (hours - np.arange(hours) - 1) * HOUR
        come = born + delay <= hours * HOUR
        self.n = np.bincount(bucket, minlength=hours)
        self.labelled = np.bincount(bucket[come], minlength=hours)
        delays = np.bincount(delay_bin((delay[come] * 1e6).astype(np.int64)), minlength=160)
        self.curve = kaplan_meier(delays, ages(self.age + HOUR / 2, self.n - self.labelled))
        self.maturity = maturity(self.age, self.n, self.labelled, self.curve)


class TestCurve:
    def test_is_kaplan_meiers_where_nothing_is_censored_inside_a_bin(self) -> None:
        random = np.random.default_rng(0)
        edges = DELAY_EDGES_S[1:-1]
        delay_bins, age_bins = random.integers(30, 60, 400), random.integers(30, 60, 300)
        curve = kaplan_meier(np.bincount(delay_bins, minlength=160), np.zeros(160, np.int64))
        oracle = SurvfuncRight(edges[delay_bins], np.ones(400))
        np.testing.assert_allclose(curve.share[np.unique(delay_bins)], 1 - oracle.surv_prob, atol=1e-12)
        # with censoring the actuarial form lies between censoring before and after the bin's events
        curve = kaplan_meier(np.bincount(delay_bins, minlength=160), np.bincount(age_bins, minlength=160))
        times, status = np.r_[edges[delay_bins], edges[age_bins]], np.r_[np.ones(400), np.zeros(300)]
        late = SurvfuncRight(times, status)
        early = SurvfuncRight(np.r_[times[:400], times[400:] * 0.99], status)
        at = np.searchsorted(late.surv_times, edges[np.unique(delay_bins)])
        early_at = np.searchsorted(early.surv_times, edges[np.unique(delay_bins)])
        below, above = 1 - late.surv_prob[at], 1 - early.surv_prob[early_at]
        mine = curve.share[np.unique(delay_bins)]
        assert ((mine >= below - 1e-12) & (mine <= above + 1e-12)).all()

    def test_corrects_for_the_young(self) -> None:
        """Half of a growing stream is too young to have its labels; the arrived ones alone look early."""
        feed = Feed(30, 50, 3 * DAY, 1.0)
        assert feed.curve.median_s == pytest.approx(3 * DAY * np.log(2), rel=0.06)
        assert feed.curve.p99_s == pytest.approx(3 * DAY * np.log(100), rel=0.15)

    def test_no_label_at_all(self) -> None:
        curve = kaplan_meier(np.zeros(160, np.int64), ages(np.array([DAY]), np.array([100])))
        assert (curve.level, curve.followed, curve.labels) == (1.0, False, 0)
        assert np.isnan([curve.median_s, curve.p99_s]).all()
        assert maturity([DAY, 100 * DAY], 100, 0, curve).tolist() == ["provisional"] * 2

    @pytest.mark.parametrize(("ever", "why"), [(1.0, "all come"), (0.9, "a tenth never"), (0.5, "half never")])
    def test_the_level_is_what_ever_comes(self, ever: float, why: str) -> None:
        curve = Feed(30, 50, DAY, ever).curve
        assert curve.followed, why
        assert curve.level == pytest.approx(ever, abs=0.02), why

    def test_a_young_model_with_slow_labels_has_seen_no_level(self) -> None:
        """After a day of labels that take a month nothing is final, though no older bucket has more."""
        feed = Feed(1, 100, 30 * DAY, 1.0)
        assert not feed.curve.followed
        assert set(feed.maturity.tolist()) == {"provisional"}


class TestMaturity:
    def test_follows_age(self) -> None:
        feed = Feed(30, 50, DAY, 1.0)
        old, middle, young = feed.age > 6 * DAY, (feed.age > DAY) & (feed.age < 4 * DAY), feed.age < 0.5 * DAY
        assert (feed.maturity[old] == "final").mean() > 0.95
        assert set(feed.maturity[middle & (feed.labelled < feed.n)].tolist()) == {"maturing"}
        assert set(feed.maturity[young].tolist()) == {"provisional"}

    def test_labels_that_never_come_do_not_hold_a_bucket_back(self) -> None:
        feed = Feed(30, 50, DAY, 0.8)
        assert (feed.maturity[feed.age > 7 * DAY] == "final").mean() > 0.95

    def test_an_outage_of_the_feed_is_never_final(self) -> None:
        outage = (240, 288)
        feed = Feed(60, 50, DAY, 0.95, outage)
        assert set(feed.maturity[slice(*outage)].tolist()) == {"provisional"}
        assert (feed.maturity[300:900] == "final").mean() > 0.95

    @pytest.mark.parametrize(
        ("age", "n", "labelled", "expected", "why"),
        [
            (1.0, 50, 50, "final", "all labelled, however young"),
            (0.0, 50, 50, "provisional", "all labelled, but predictions may still be added"),
            (DAY, 0, 0, "final", "empty and old: nothing is missing"),
            (0.0, 0, 0, "provisional", "empty and young"),
            (DAY, 50, 45, "final", "as many as ever come"),
            (DAY, 50, 20, "provisional", "far fewer than due"),
            (DAY, 500, 350, "maturing", "fewer than due, more than half"),
        ],
    )
    def test_cases(self, age: float, n: int, labelled: int, expected: str, why: str) -> None:
        delays = np.zeros(160, np.int64)
        delays[delay_bin(np.array([int(600e6)]))] = 9000
        curve = kaplan_meier(delays, ages(np.array([30 * DAY]), np.array([1000])))
        assert curve.level == pytest.approx(0.9)
        assert str(maturity(age, n, labelled, curve)) == expected, why

    def test_expected_is_a_share_of_what_ever_comes(self) -> None:
        curve = DelayCurve(np.full(160, 0.6), 0.6, followed=True, labels=10, median_s=0.5, p99_s=0.99)
        assert float(curve.expected(10.0)) == 1.0
        assert float(curve.at(0.5)) == pytest.approx(0.3)
