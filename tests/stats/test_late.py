"""Late labels weighed back or waited for; bought labels that merge."""

import numpy as np
import pytest

from app.stats.delays import ages, kaplan_meier
from app.stats.late import arrived_rate, curve_of_labelled, mature_rate
from app.stats.ppi import ppi_anytime, ppi_betting
from app.stats.selective import hajek
from app.stats.weighed import Weighed, weighed_metrics

DAY = 86_400.0
TRUTH = 0.1 * 0.6 + 0.9 * 0.98


def arrived(seed: int, days: float) -> tuple[np.ndarray, ...]:
    """5,000 rows: positives' labels take 30 days, negatives' 3; right, positive, delay, age of those that have come."""
    random = np.random.default_rng(seed)
    positive = random.random(5000) < 0.1
    right = np.where(positive, random.random(5000) < 0.6, random.random(5000) < 0.98)
    age, delay = random.uniform(1, days, 5000) * DAY, random.exponential(np.where(positive, 30.0, 3.0)) * DAY
    came = delay < age
    return right[came] * 1.0, positive[came], delay[came], age[came]


class TestDelayOfTheLabelled:
    def test_truncation_is_undone(self) -> None:
        """Taken as they come, short delays are too many: .80 by ten days of an exponential of mean ten, not .63."""
        random = np.random.default_rng(0)
        age, delay = random.uniform(0, 120, 40_000) * DAY, random.exponential(10, 40_000) * DAY
        came = delay < age
        curve = curve_of_labelled(delay[came], age[came])
        for days in (2, 10, 30):
            assert float(curve.at(days * DAY)) == pytest.approx(-np.expm1(-days / 10), abs=0.03)
        assert (delay[came & (age < 20 * DAY)] < 10 * DAY).mean() > 0.75
        assert curve.median_s == pytest.approx(10 * np.log(2) * DAY, rel=0.1)

    def test_none_and_one(self) -> None:
        assert curve_of_labelled([], []).labels == 0
        assert float(curve_of_labelled([5.0], [60.0]).at(60.0)) == 1.0


class TestArrivedRate:
    def test_covers_where_what_has_come_is_off(self) -> None:
        found = [arrived_rate(*arrived(seed, 400)) for seed in range(150)]
        known = [one for one in found if np.isfinite(one.low)]
        assert len(known) > 120
        assert np.mean([one.low <= TRUTH <= one.high for one in known]) >= 0.93 - 3 * np.sqrt(0.05 * 0.95 / len(known))
        assert abs(np.mean([one.value for one in known]) - TRUTH) < 0.001

    def test_is_withheld_while_an_outcome_still_comes(self) -> None:
        found = arrived_rate(*arrived(1, 60))
        assert np.isnan(found.value)
        assert "still coming" in found.assumption

    def test_is_withheld_where_an_outcome_is_hardly_known(self) -> None:
        right, positive, delay, age = arrived(1, 400)
        few = ~positive | (np.cumsum(positive) <= 19)
        assert "19 labels" in arrived_rate(right[few], positive[few], delay[few], age[few]).assumption
        assert "no labelled rows" in arrived_rate([], [], [], []).assumption


class TestMatureRate:
    CURVE = kaplan_meier(np.bincount([70], [990], 160), ages(np.array([40 * DAY]), np.array([10])))

    def test_counts_only_what_is_old_enough(self) -> None:
        found = mature_rate([980, 1], [990, 9], [1000, 1000], [20 * DAY, 0.1 * DAY], self.CURVE)
        assert (found.n, found.method) == (990, "mature cohort, wilson")
        assert found.value == pytest.approx(980 / 990)

    @pytest.mark.parametrize(("labelled", "age", "why"), [
        (499, 20 * DAY, "half are needed"),
        (900, 0.0, "half are needed"),
    ])  # fmt: skip
    def test_is_withheld(self, labelled: int, age: float, why: str) -> None:
        found = mature_rate([labelled], [labelled], [1000], [age], self.CURVE)
        assert np.isnan(found.value)
        assert why in found.assumption

    def test_an_unfinished_curve_says_nothing(self) -> None:
        nothing = kaplan_meier(np.zeros(160, np.int64), np.zeros(160, np.int64))
        assert "still coming" in mature_rate([1], [1], [1], [1e9], nothing).assumption


class TestWeighed:
    def test_any_split_merges_to_the_same_bits(self) -> None:
        random = np.random.default_rng(4)
        hit, pi = random.random(1000) < 0.9, random.uniform(0.005, 1, 1000)
        whole = Weighed.of(hit, pi)
        parts = [Weighed.of(hit[part], pi[part]) for part in np.array_split(random.permutation(1000), 7)]
        assert sum(parts, Weighed()) == whole

    def test_is_hajek_of_the_rows(self) -> None:
        random = np.random.default_rng(4)
        hit, pi = random.random(500) < 0.9, random.uniform(0.05, 1, 500)
        sums, rows = Weighed.of(hit, pi).rate(), hajek(hit * 1.0, pi)
        for part in ("value", "low", "high", "n_eff"):
            assert getattr(sums, part) == pytest.approx(getattr(rows, part), rel=1e-6)

    def test_equal_probabilities_are_plain_metrics(self) -> None:
        random = np.random.default_rng(2)
        actual = random.random(800) < 0.3
        predicted = actual ^ (random.random(800) < 0.1)
        found = weighed_metrics(actual, predicted, np.full(800, 0.25))
        tp, fp, fn = (int(part.sum()) for part in (actual & predicted, ~actual & predicted, actual & ~predicted))
        assert found["precision"].value == pytest.approx(tp / (tp + fp))
        assert found["recall"].value == pytest.approx(tp / (tp + fn))
        assert found["f1"].value == pytest.approx(2 * tp / (2 * tp + fp + fn))

    @pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "specificity", "f1"])
    def test_covers_the_truth_of_the_rows_that_were_not_asked(self, name: str) -> None:
        inside = 0
        for seed in range(150):
            random = np.random.default_rng(seed)
            actual = random.random(6000) < 0.3
            predicted = actual ^ (random.random(6000) < np.where(actual, 0.2, 0.05))
            pi = np.where(predicted, 0.5, 0.1)
            asked = random.random(6000) < pi
            found = weighed_metrics(actual[asked], predicted[asked], pi[asked])[name]
            truth = {"accuracy": 0.905, "precision": 0.24 / 0.275, "recall": 0.8, "specificity": 0.95}
            truth["f1"] = 2 * 0.24 / (0.3 + 0.275)
            inside += found.low <= truth[name] <= found.high
        assert inside / 150 >= 0.95 - 3 * np.sqrt(0.0475 / 150)

    def test_no_rows_and_impossible_probabilities(self) -> None:
        assert np.isnan(Weighed().rate().value)
        with pytest.raises(ValueError, match="probability"):
            Weighed.of([True], [0.001])


class TestBettingOnPseudoOutcomes:
    def test_is_never_wrong_more_often_than_told_and_speaks_from_the_first_row(self) -> None:
        wrong = 0
        for seed in range(60):
            random = np.random.default_rng(seed)
            f = random.uniform(0.6, 1, 400)
            y = np.where(random.random(400) < 0.5, (random.random(400) < f) * 1.0, np.nan)
            found = ppi_betting(y, f, np.full(400, 0.5))
            wrong += not found.low <= 0.8 <= found.high
            assert np.isnan(ppi_anytime(y, f, np.full(400, 0.5)).low)
        assert wrong <= 60 * 0.05 + 3 * np.sqrt(60 * 0.0475)
        assert found.high - found.low < 0.5

    def test_values_outside_are_refused(self) -> None:
        assert np.isnan(ppi_betting([], [], []).value)
        with pytest.raises(ValueError, match="y, f"):
            ppi_betting([2.0], [0.5], [0.5])
