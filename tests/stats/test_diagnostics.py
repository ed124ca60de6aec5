"""What a reference shows of a monitor's assumptions, and what follows for the monitor."""

import warnings

import numpy as np
import pytest
from scipy.stats import chi2_contingency, f_oneway
from statsmodels.tools.sm_exceptions import InterpolationWarning
from statsmodels.tsa.stattools import kpss

from app.stats import edetector
from app.stats.bets import NORMAL
from app.stats.diagnostics import (
    MOST_LEVEL,
    assess,
    autocorrelation,
    dispersion,
    left_over,
    level,
    merging,
    period_p,
)
from app.stats.planning import Budget, merge, plan_rate, plan_statistic
from app.stats.seasons import DAY, POOLED, WEEK, slot_of
from app.stats.sequential import Bucket, Kind, Monitor, begin, replay, update
from tests.stats.reference import named, same

MONDAY_US = 1_736_726_400_000_000  # 13 January 2025, 00:00 UTC
HOUR_US = 3_600_000_000


def reference(spread: float = 0.0, count: int = 240, season: float = 0.0, seed: int = 1) -> list[Bucket]:
    random = np.random.default_rng(seed)
    rate = 0.05 + season * np.sin(2 * np.pi * np.arange(count) / 24) + random.normal(0, spread, count)
    return [Bucket(i, 500, int(x), x / 500, i % 24) for i, x in enumerate(random.binomial(500, rate.clip(0.001)))]


class TestDispersion:
    def test_is_pearsons(self) -> None:
        x, n = np.array([25, 30, 20, 45]), np.array([500, 400, 600, 500])
        wanted = chi2_contingency(np.stack((x, n - x)), correction=False)
        found = dispersion(x, n)
        assert (found.ratio, found.p) == pytest.approx((wanted.statistic / 3, wanted.pvalue), rel=1e-12)

    @pytest.mark.reference
    def test_reference(self) -> None:
        """Buckets by side are a table of two rows."""
        one, other = np.full(10, 100), np.array([62, 55, 48, 50, 51, 47, 53, 49, 45, 40])
        found = dispersion(one, one + other)
        same((9 * found.ratio, found.p), named("chi2_contingency"))

    @pytest.mark.parametrize(("x", "n", "why"), [
        ([3], [50], "one bucket"),
        ([0, 0], [50, 50], "no event"),
        ([50, 50], [50, 50], "nothing else"),
        ([0, 3], [0, 50], "one bucket has rows"),
    ])  # fmt: skip
    def test_unknown(self, x: list[int], n: list[int], why: str) -> None:
        assert np.isnan(dispersion(x, n).ratio), why


class TestRowsOfFewBuckets:
    def test_twice_the_variance_seldom_lets_h_page(self) -> None:
        """20 buckets vary by chance: the ratio of a stream at 2 is below 1.2 in one of ten, below the limit in 50."""
        random, paging = np.random.default_rng(5), 0
        for _ in range(400):
            rate = random.beta(0.95 * 474, 0.05 * 474, 20)
            x = random.binomial(500, 1 - rate)
            found = assess(x / 500, np.zeros(20), x=x, n=np.full(20, 500))
            paging += found.rows_hold
        assert paging <= 20

    def test_what_shows_in_larger_buckets_only_demotes_h(self) -> None:
        random, paging = np.random.default_rng(6), 0
        for _ in range(100):
            rate = np.repeat(random.beta(0.95 * 474, 0.05 * 474, 120), 5)
            x = random.binomial(100, 1 - rate)
            paging += assess(x / 100, np.zeros(600), x=x, n=np.full(600, 100)).rows_hold
        assert paging == 0


class TestTime:
    def test_autocorrelation_of_a_stream(self) -> None:
        values, now, random = [], 0.0, np.random.default_rng(1)
        for _ in range(20_000):
            now = 0.6 * now + random.normal()
            values.append(now)
        assert autocorrelation(values) == pytest.approx(0.6, abs=0.02)
        assert autocorrelation(np.reshape(values, (-1, 4)).mean(axis=1)) == pytest.approx(left_over(0.6, 4), abs=0.03)

    def test_constant_and_short(self) -> None:
        assert autocorrelation([1.0, 1.0, 1.0]) == 0.0
        assert np.isnan(autocorrelation([1.0, 2.0]))

    def test_a_period_by_analysis_of_variance(self) -> None:
        values = np.random.default_rng(2).normal(size=96) + np.tile(np.sin(np.arange(24)), 4)
        wanted = f_oneway(*(values[hour::24] for hour in range(24))).pvalue
        assert period_p(values, np.arange(96) % 24) == pytest.approx(wanted, rel=1e-9)

    @pytest.mark.parametrize(("hours", "season", "slot"), [(0, WEEK, 0), (25, WEEK, 25), (25, DAY, 1), (190, WEEK, 22), (9, POOLED, 0)])  # fmt: skip # noqa: E501
    def test_slots_begin_on_monday_in_utc(self, hours: int, season: int, slot: int) -> None:
        assert slot_of(MONDAY_US + hours * HOUR_US, season) == slot

    def test_refuses_buckets_that_do_not_divide_the_season(self) -> None:
        with pytest.raises(ValueError, match="hours"):
            slot_of(0, DAY, hours=5)


class TestMerging:
    def test_leaves_a_season_alone(self) -> None:
        streams = [np.array([bucket.value for bucket in reference(season=0.03, seed=seed)]) for seed in range(40)]
        assert all(merging(values) != 1 for values in streams)
        assert sum(merging(values, np.arange(240) % 24) == 1 for values in streams) >= 36

    def test_a_rate_that_wanders_slowly_is_seen_in_larger_buckets(self) -> None:
        """Blocks of five buckets share their rate: autocorrelations .14, .10, .07 and .03, below the limit at lag 1."""
        random, left = np.random.default_rng(3), 0
        for _ in range(40):
            rate = np.repeat(random.normal(0.05, 0.01, 60), 5)
            left += merging(random.binomial(100, rate.clip(0.001)) / 100) == 1
        assert left <= 16

    def test_a_rate_that_does_not_keep_its_level_is_seen_in_the_sums(self) -> None:
        """From .952 to .948 and back once in 1,000 buckets: neighbours hardly agree, means of 50 hardly vary."""
        random, rate = np.random.default_rng(4), 0.95 + 0.002 * np.sin(np.arange(1000) / 1000 * 2 * np.pi)
        streams = [random.binomial(500, 1 - rate) / 500 for _ in range(40)]
        assert sum(level(values) > MOST_LEVEL for values in streams) >= 30
        assert sum(merging(values) == 0 for values in streams) >= 30

    def test_level_is_statsmodels(self) -> None:
        values = np.random.default_rng(5).normal(size=300).cumsum()[::3]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InterpolationWarning)  # its table of p ends here
            assert level(values) == pytest.approx(kpss(values, nlags=0, result_object=False)[0], rel=1e-12)

    def test_cannot_certify_a_short_dependent_reference(self) -> None:
        assert merging(np.repeat(np.random.default_rng(1).normal(size=10), 5)) == 0

    def test_joins_counts_and_takes_the_first_id(self) -> None:
        found = merge([Bucket(i, 10, i % 2, slot=i) for i in range(7)], 3)
        assert [(bucket.id, bucket.n, bucket.x, bucket.slot) for bucket in found] == [(0, 30, 1, 0), (3, 30, 2, 1)]
        values = merge([Bucket(0, value=1.0), Bucket(1), Bucket(2), Bucket(3)], 2)
        assert values[0].value == 1.0
        assert np.isnan(values[1].value)


class TestPlans:
    def test_iid_rows_let_h_page(self) -> None:
        plan = plan_rate(1, reference(), slots=24)
        assert {d.kind: d.pages for d in plan.monitor.detectors} == {Kind.COUNT: True, Kind.RANK: True}
        assert plan.assumptions.reason == ""
        assert "240 buckets don't show a rate that slowly wanders" in plan.assumptions.unseen
        assert not plan_rate(1, reference(count=1200)).assumptions.unseen

    def test_over_dispersion_demotes_h_and_gives_r_its_share(self) -> None:
        plan = plan_rate(1, reference(spread=0.02), slots=24)
        pages = {d.kind: d.pages for d in plan.monitor.detectors}
        assert pages == {Kind.COUNT: False, Kind.RANK: True}
        assert "times as much" in plan.assumptions.reason
        shared = plan_rate(1, reference(), slots=24)
        assert plan.monitor.detectors[1].log_threshold < shared.monitor.detectors[1].log_threshold

    def test_neighbours_that_agree_are_merged(self) -> None:
        slow = np.repeat(np.random.default_rng(3).normal(0, 0.02, 160), 3)
        x = np.random.default_rng(4).binomial(500, (0.06 + slow).clip(0.001))
        plan = plan_rate(1, [Bucket(i, 500, int(n)) for i, n in enumerate(x)])
        assert plan.merge > 1
        assert "merged" in plan.assumptions.reason

    def test_with_no_reference_only_the_promised_ceiling_pages(self) -> None:
        plan = plan_rate(1, [], ceiling=0.05)
        assert [d.kind for d in plan.monitor.detectors if d.pages] == [Kind.FLOOR]

    def test_the_budget_is_shared_over_monitors(self) -> None:
        one, many = (plan_rate(1, reference(), budget=Budget(monitors=m)).monitor.detectors[0] for m in (1, 1000))
        assert many.log_threshold - one.log_threshold == pytest.approx(np.log(1000))

    def test_pages_of_stable_streams_stay_within_the_budget(self) -> None:
        """40 monitors, 200 looks each, .2 false pages promised over all of them (P(any) ≤ .2), seasons and all."""
        pages = 0
        for seed in range(40):
            stable = reference(season=0.02, count=440, seed=seed)
            plan = plan_rate(seed, stable[:240], slots=24, budget=Budget(false_pages=0.2, monitors=40, looks=200))
            monitor = plan.monitor
            _, readings = replay(monitor, merge(stable[:240], plan.merge), merge(stable[240:], plan.merge))
            pages += sum(reading.pages for look in readings for reading in look)
        assert pages <= 1

    def test_a_small_bucket_is_bet_on_as_the_smallest_of_the_reference(self) -> None:
        detector = plan_rate(1, reference()).monitor.detectors[0]
        monitor = Monitor(1, (detector,))
        _, (reading,) = update(monitor, begin(monitor, [Bucket(0, 500, 25)]), Bucket(1, 20, 4))
        assert reading.log_e == pytest.approx(edetector.trail(NORMAL.log_increments([reading.p]))[0])

    def test_a_statistic_is_ranked(self) -> None:
        values = np.random.default_rng(5).normal(0.9, 0.01, 120)
        plan = plan_statistic(1, [Bucket(i, value=v) for i, v in enumerate(values)], worse="lower")
        assert [d.kind for d in plan.monitor.detectors] == [Kind.RANK]
        assert plan.assumptions.rows_hold is False  # nothing is known of rows

    def test_season_shows(self) -> None:
        found = assess([bucket.value for bucket in reference(season=0.03)], np.arange(240) % 24)
        assert found.period_p < 0.01
