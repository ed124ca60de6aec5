"""Monitors: reference results, exact laws, the same numbers one at a time and many at once, and recomputation."""

import json
import time
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom, hypergeom, kstest

from app.stats import edetector, step
from app.stats.bets import NORMAL, RANKED, Bets, floor_of, mean_floor, rate_floor, scale_of
from app.stats.budget import OVERSHOOT, log_threshold, overshoot
from app.stats.conformal import Past, coarse, count_p, rank_p
from app.stats.draws import key_of, uniform, uniforms
from app.stats.sequential import Bucket, Detector, Kind, Monitor, State, begin, replay, update
from tests.stats.reference import named, same

ALL = Monitor(
    key_of("monitor"),
    (
        Detector(Kind.FLOOR, 8.3, floor=0.055),
        Detector(Kind.MEAN_FLOOR, 8.3, floor=0.9),
        Detector(Kind.COUNT, 8.3),
        Detector(Kind.RANK, 8.3, bets=RANKED, worse="either"),
        Detector(Kind.FLOOR, 3.0, floor=0.055, for_ever=True),
    ),
    slots=2,
)


def buckets(count: int, start: int = 0, rate: float = 0.05) -> list[Bucket]:
    x = np.random.default_rng(start).binomial(500, rate, count).tolist()
    return [Bucket(start + i, 500, x[i], 1 - x[i] / 500, slot=i % 2) for i in range(count)]


def past_of(values: list[float]) -> Past:
    return reduce(Past.joined, values, Past())


class TestReferenceValues:
    @pytest.mark.reference
    def test_floor_over_five_buckets(self) -> None:
        same(edetector.trail(rate_floor(0.05, [25, 30, 22, 41, 52], 500)), named("SR e-detector"))

    @pytest.mark.reference
    def test_ranks_over_six_p_values(self) -> None:
        same(edetector.trail(NORMAL.log_increments([0.5, 0.03, 0.2, 0.01, 0.005, 0.004])), named("rank SR"))

    @pytest.mark.reference
    def test_conformal_p_values(self) -> None:
        above, equal = past_of([22, 24, 25, 26, 30]).rank(30)
        same(rank_p(above, equal, 5, 0.25), "conformal p: past errors [24,25,26,30,22], x=30, V=.25 -> (#past>x + V*(#past==x + 1))/(n+1)")  # fmt: skip # noqa: E501
        same(count_p(10_000, 500, 500, 40, 0.5), "hypergeom p: ref N=10000 S=500, bucket n=500 x=40, V=.5 -> sf(x)+V*pmf(x)")  # fmt: skip # noqa: E501

    @pytest.mark.reference
    def test_weights_of_starts(self) -> None:
        same(edetector.start_weight([1, 2, 3]), "first three w_k")
        same(edetector.WEIGHT_TOTAL, "weights w_k=1/(C (k+1) log^2(k+1)), C")


class TestCountP:
    @pytest.mark.parametrize(("history", "events", "n", "x", "why"), [
        (100, 5, 20, 1, "small"),
        (3, 3, 40, 0, "all of a tiny history were events"),
        (1000, 0, 50, 0, "no event ever"),
        (1000, 0, 50, 3, "the first events"),
        (50_000, 2500, 10_000, 650, "large bucket: summed in arrays"),
        (2_000_000, 20, 1000, 1, "rare"),
        (400, 400, 30, 30, "nothing but events"),
    ])  # fmt: skip
    def test_is_the_hypergeometric_tail(self, history: int, events: int, n: int, x: int, why: str) -> None:
        law = hypergeom(history + n, events + x, n)
        wanted = law.sf(x) + 0.3 * law.pmf(x)
        assert float(count_p(history, events, n, x, 0.3)) == pytest.approx(wanted, rel=1e-9), why
        assert step.count_p_of(history, events, n, x, 0.3) == pytest.approx(wanted, rel=1e-9), why

    def test_a_wider_window_beside_it_changes_no_bit(self) -> None:
        alone = float(count_p(10_000, 500, 100, 8, 0.5))
        assert float(count_p([10_000, 10**6], [500, 10**5], [100, 10**5], [8, 10_400], 0.5)[0]) == alone

    def test_is_uniform_and_independent_over_time_whatever_the_rate(self) -> None:
        random = np.random.default_rng(8)
        n, x, p = 50.0, random.binomial(50, 0.13, 4000) * 1.0, []
        history = np.zeros(4000)
        for t in range(4):
            p.append(count_p(n * t, history, 50, x, random.random(4000)))
            history, x = history + x, random.binomial(50, 0.13, 4000) * 1.0
        for earlier, later in pairwise(p):
            assert kstest(later, "uniform").pvalue > 0.001
            assert abs(np.corrcoef(earlier, later)[0, 1]) < 0.05


class TestBets:
    @pytest.mark.parametrize("bets", [NORMAL, RANKED, Bets((0.2, 5.0), (0.001,), stake=0.5)])
    def test_densities_integrate_to_one(self, bets: Bets) -> None:
        z = np.linspace(-8, 11, 400_001)[:, np.newaxis]  # most of a bet's worth lies where u is tiny
        paid = np.exp(bets.log_increments(ndtr(-z[:, 0])) - z**2 / 2) / np.sqrt(2 * np.pi)
        assert np.trapezoid(paid, z, axis=0) == pytest.approx(1.0, rel=1e-3)

    def test_a_floor_bets_fairly_at_the_floor_and_loses_below(self) -> None:
        x = np.arange(21)
        paid = np.exp(rate_floor(0.05, x, 20))
        assert binom.pmf(x, 20, 0.05) @ paid == pytest.approx(1.0, rel=1e-12)
        assert (binom.pmf(x, 20, 0.03) @ paid < 1).all()

    def test_means_below_their_floor(self) -> None:
        assert np.exp(mean_floor(0.9, [0.8, 1.0])).mean(axis=0) == pytest.approx(1.0)
        with pytest.raises(ValueError, match="value"):
            mean_floor(0.9, [1.2])

    def test_a_reference_without_rows_is_no_floor(self) -> None:
        assert floor_of(0, 0, 0.05) == 1.0

    @pytest.mark.parametrize("bets", [NORMAL, RANKED])
    def test_one_at_a_time_as_in_arrays(self, bets: Bets) -> None:
        for u in (1e-30, 1e-6, 0.02, 0.5, 0.999):
            for rows in (3, 100, 500, 9000):
                wanted = bets.log_increments(u, scale_of(rows))
                assert step.against(bets, u, rows) == pytest.approx(wanted, rel=1e-12)
        assert step.over_rate(0.05, 41, 500) == pytest.approx(rate_floor(0.05, 41, 500), rel=1e-12)
        assert step.below_mean(0.9, 0.8) == pytest.approx(mean_floor(0.9, 0.8), rel=1e-12)


class TestDetector:
    def test_one_at_a_time_as_in_arrays(self) -> None:
        increments = np.random.default_rng(1).normal(0, 1, (50, 6))
        log_m = step.started(6)
        for wanted, row in zip(edetector.trail(increments), increments, strict=True):
            log_m = step.advance(log_m, tuple(row.tolist()))
            assert step.log_value(log_m) == pytest.approx(wanted, rel=1e-12)

    def test_no_bucket_no_evidence(self) -> None:
        assert step.log_value(step.started(3)) == -np.inf
        assert step.weighted_value(step.started(3), 0.0) == 0.0

    def test_the_overshoot_taken_off_is_less_than_there_is(self) -> None:
        """Alarms per look times e^threshold on uniform p-values, against e^−gain; three standard errors."""
        random = np.random.default_rng(4)
        for bets, table in OVERSHOOT.items():
            for rows, gain in table:
                scale, level = scale_of(rows or 500), 6.0
                m, alarms, streams, looks = np.zeros((2000, bets.size)), 0, 2000, 600
                for _ in range(looks):
                    m = (m + 1) * np.exp(bets.log_increments(random.random(streams), scale))
                    hit = m.mean(axis=1) >= np.exp(level)
                    alarms += int(hit.sum())
                    m[hit] = 0
                rate = alarms / (streams * looks) * np.exp(level)
                assert rate - 3 * rate / np.sqrt(alarms) <= np.exp(-gain), (bets, rows)
        assert overshoot(NORMAL, 10**6) == overshoot(NORMAL, 500)


class TestBudget:
    @pytest.mark.parametrize(("looks", "pages", "monitors", "share"), [(0, 1, 1, 1), (9, 0, 1, 1), (9, 1, 0, 1), (9, 1, 1, 2)])  # fmt: skip # noqa: E501
    def test_refuses_what_is_no_budget(self, looks: int, pages: int, monitors: int, share: int) -> None:
        with pytest.raises(ValueError, match="positive"):
            log_threshold(looks, pages, monitors=monitors, share=share)

    def test_more_pages_than_looks_is_a_threshold_of_one(self) -> None:
        assert log_threshold(10, 100) == 0.0


class TestMonitor:
    def test_a_change_pages_and_the_alarm_can_be_computed_again(self) -> None:
        reference, stream = buckets(20), buckets(30, 100) + buckets(20, 200, rate=0.1)
        state, readings = replay(ALL, reference, stream)
        again, once_more = replay(ALL, reference, stream)
        assert (state, repr(readings)) == (again, repr(once_more))
        alarms = [(i, reading.kind) for i, look in enumerate(readings) for reading in look if reading.pages]
        assert {kind for _, kind in alarms} >= {Kind.FLOOR, Kind.COUNT, Kind.RANK}
        assert min(i for i, _ in alarms) >= 30

    def test_agrees_with_the_arrays(self) -> None:
        monitor = Monitor(7, (Detector(Kind.COUNT, 99.0), Detector(Kind.RANK, 99.0, bets=RANKED, worse="lower")))
        reference, stream = [Bucket(b.id, b.n, b.x, b.value) for b in buckets(20)], buckets(40, 100)
        stream = [Bucket(b.id, b.n, b.x, b.value) for b in stream]
        _, readings = replay(monitor, reference, stream)
        n, x, past = 10_000, sum(b.x for b in reference), [-b.value for b in reference]
        by_count, by_rank = [], []
        for bucket in stream:
            by_count.append(float(count_p(n, x, bucket.n, bucket.x, uniform(7, bucket.id, 0))))
            above, equal = past_of(past).rank(-bucket.value)
            by_rank.append(float(rank_p(above, equal, len(past), uniform(7, bucket.id, 1))))
            n, x = n + bucket.n, x + bucket.x
            past.append(-bucket.value)
        assert [look[0].p for look in readings] == pytest.approx(by_count, rel=1e-12)
        assert [look[1].p for look in readings] == pytest.approx(by_rank, rel=1e-12)
        for place, bets, p in ((0, NORMAL, by_count), (1, RANKED, by_rank)):
            found = [look[place].log_e for look in readings]
            assert found == pytest.approx(edetector.trail(bets.log_increments(p)), rel=1e-9)

    def test_state_survives_json_bit_for_bit(self) -> None:
        state = begin(ALL, buckets(20))
        for bucket in buckets(10, 100):
            state, wanted = update(ALL, State.from_json(json.loads(json.dumps(state.to_json()))), bucket)
            assert State.from_json(json.loads(json.dumps(state.to_json()))) == state
        assert wanted[0].log_e > -np.inf

    def test_slots_have_their_own_history(self) -> None:
        state = begin(ALL, [Bucket(0, 100, 5, 0.95, slot=0), Bucket(1, 100, 50, 0.5, slot=1)])
        assert state.counts == ((100, 5), (100, 50))
        assert state.past == (past_of([0.95]), past_of([0.5]))

    def test_an_undefined_statistic_teaches_nothing(self) -> None:
        monitor = Monitor(1, (Detector(Kind.RANK, 8.0),))
        state = begin(monitor, [Bucket(i, value=float(i)) for i in range(5)])
        after, readings = update(monitor, state, Bucket(9))
        assert after.past == state.past
        assert np.isnan(readings[0].p)

    def test_an_early_warning_alarms_but_does_not_page(self) -> None:
        monitor = Monitor(1, (Detector(Kind.FLOOR, 5.0, floor=0.05, pages=False),))
        _, (reading,) = update(monitor, begin(monitor), Bucket(1, 500, 60))
        assert (reading.alarm, reading.pages) == (True, False)

    @pytest.mark.parametrize(("bucket", "why"), [
        (Bucket(3, 10, 1), "again"),
        (Bucket(2, 10, 1), "before the last"),
        (Bucket(4, 10, 11), "more events than rows"),
        (Bucket(4, 10, 1, slot=5), "no such slot"),
    ])  # fmt: skip
    def test_refuses_a_bucket(self, bucket: Bucket, why: str) -> None:
        state = begin(ALL, [Bucket(3, 10, 1)])
        with pytest.raises(ValueError, match="bucket"):
            update(ALL, state, bucket)

    def test_refuses_a_detector_without_sense(self) -> None:
        with pytest.raises(ValueError, match="floor"):
            Detector(Kind.FLOOR, 3.0)
        with pytest.raises(ValueError, match="worse"):
            Detector(Kind.COUNT, 3.0, worse="lower")

    @pytest.mark.parametrize(("slots", "size"), [(1, 16_000), (168, 100_000)])
    def test_a_year_of_hours_is_a_small_value(self, slots: int, size: int) -> None:
        random = np.random.default_rng(3)
        monitor = Monitor(1, (Detector(Kind.COUNT, 12.0), Detector(Kind.RANK, 12.0, bets=RANKED)), slots)
        n = random.integers(300, 700, 8760)
        x = random.binomial(n, 0.05)
        year = zip(n.tolist(), x.tolist(), (x / n).tolist(), strict=True)
        state = begin(monitor, [Bucket(i, *bucket, slot=i % slots) for i, bucket in enumerate(year)])
        assert sum(past.total for past in state.past) == 8760
        assert len(json.dumps(state.to_json())) < size

    def test_rounding_makes_ties_and_changes_no_other_rank(self) -> None:
        values = np.random.default_rng(5).normal(0.9, 0.01, 500).tolist()
        past = past_of(values)
        for value in (0.88, 0.9, 0.91234, values[7]):
            above, equal = past.rank(value)
            assert above <= sum(v > value for v in values) <= above + equal
            assert abs(coarse(value) - value) <= 0.5e-4 * 1.0001

    def test_updates_take_microseconds(self) -> None:
        """10⁵ in 6 s of CPU are 60 µs each; here with room for a slow machine."""
        monitor = Monitor(1, (Detector(Kind.COUNT, 12.0),))
        stream = [Bucket(bucket.id, bucket.n, bucket.x) for bucket in buckets(2000)]
        state = begin(monitor)
        started = time.process_time()
        for bucket in stream:
            state, _ = update(monitor, state, bucket)
        assert (time.process_time() - started) / len(stream) < 200e-6


class TestDraws:
    def test_one_at_a_time_as_in_arrays(self) -> None:
        keys, ids = [0, 1, 2**63 + 5], np.arange(5)
        many = uniforms(np.array(keys, np.uint64)[:, np.newaxis], ids, stream=3)
        assert many.tolist() == [[uniform(key, int(i), 3) for i in ids] for key in keys]

    def test_are_uniform_over_buckets_monitors_and_streams(self) -> None:
        for draws in (uniforms(5, np.arange(50_000) * 3_600_000_000), uniforms(np.arange(50_000), 77)):
            assert kstest(draws, "uniform").pvalue > 0.001
            assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.02

    def test_never_reach_the_ends(self) -> None:
        assert 0 < uniform(-1, 2**64 - 1) < 1
