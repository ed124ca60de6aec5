"""Effects of what was not random (AIPW), and rules that end runs early."""

import numpy as np
import pytest

from app.stats.aipw import aipw
from app.stats.stopping import HEURISTIC, asha, median_rule, rungs


def observed(seed: int, n: int = 1500) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Treated more often where outcomes are high anyway; the effect is .4, the plain difference about 1.1."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 3))
    chance = 1 / (1 + np.exp(-(x[:, 0] + 0.5 * x[:, 1])))
    arm = random.random(n) < chance
    y = x[:, 0] + np.abs(x[:, 1]) + 0.4 * arm + 0.5 * random.normal(size=n)
    return y, arm, x, chance


class TestAipw:
    def test_covers_the_effect_where_the_plain_difference_is_far_off(self) -> None:
        found = [aipw(*observed(seed)[:3], seed=seed).difference.effect for seed in range(4)]
        assert sum(effect.low <= 0.4 <= effect.high for effect in found) >= 3
        assert abs(np.mean([effect.value for effect in found]) - 0.4) < 0.05
        y, arm, _, _ = observed(0)
        assert y[arm].mean() - y[~arm].mean() > 0.8

    def test_with_known_propensities_and_no_use_of_features_it_is_right_too(self) -> None:
        y, arm, _, chance = observed(3, 4000)
        blind = aipw(y, arm, np.zeros((4000, 1)), seed=1, known=chance)
        assert blind.difference.effect.low < 0.4 < blind.difference.effect.high
        assert blind.n_eff[0] < arm.sum()

    def test_arms_that_never_meet_are_said_not_to_overlap(self) -> None:
        x = np.linspace(-3, 3, 1000)[:, np.newaxis]
        found = aipw(np.sin(x[:, 0]), x[:, 0] > 0, x, seed=0)
        assert not found.overlaps
        assert found.trimmed > 0.5

    def test_too_few_rows_are_withheld_and_lengths_are_checked(self) -> None:
        few = aipw(np.zeros(120), np.arange(120) < 20, np.zeros((120, 1)), seed=0)
        assert np.isnan(few.difference.p)
        assert "100" in few.difference.effect.assumption
        with pytest.raises(ValueError, match="features"):
            aipw(np.zeros(5), np.zeros(5), np.zeros((4, 1)), seed=0)


class TestEarlyStopping:
    def test_asha_lets_about_a_third_go_on_and_the_best_always(self) -> None:
        random = np.random.default_rng(0)
        values = random.random(300)
        went_on = [not asha(float(v), values[:i]).stop for i, v in enumerate(values)]
        assert 100 <= sum(went_on) <= 120
        assert all(went_on[i] for i in range(300) if values[i] == values[: i + 1].max())

    def test_rungs_rise_by_the_factor(self) -> None:
        assert rungs(4, 100, eta=5) == (4, 20)
        with pytest.raises(ValueError, match="eta"):
            rungs(1, 10, eta=1)

    @pytest.mark.parametrize(("value", "others", "higher", "stop", "why"), [
        (0.5, [], True, False, "no one to compare with"),
        (float("nan"), [0.1, 0.2, 0.3], True, True, "diverged"),
        (0.3, [0.9, 0.8, 0.7], False, False, "a loss, and the least"),
        (0.9, [0.1, 0.2, 0.3, 0.4], False, True, "a loss, and the largest"),
        (0.5, [0.5, 0.5, 0.5], True, False, "ties go on"),
    ])  # fmt: skip
    def test_asha(self, value: float, others: list[float], higher: bool, stop: bool, why: str) -> None:
        assert asha(value, others, higher_is_better=higher).stop == stop, why

    @pytest.mark.parametrize(("best", "others", "stop", "why"), [
        (0.1, [0.5] * 4, False, "fewer than five completed"),
        (0.1, [0.5] * 5, True, "below the median"),
        (0.5, [0.5] * 5, False, "at the median"),
        (float("nan"), [0.5] * 5, True, "diverged"),
    ])  # fmt: skip
    def test_median_rule(self, best: float, others: list[float], stop: bool, why: str) -> None:
        found = median_rule(best, others)
        assert (found.stop, found.assumption) == (stop, HEURISTIC), why
