"""Adjusted p-values as statsmodels gives them, and e-BH by its definition."""

from collections.abc import Callable

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from app.stats.multiplicity import benjamini_hochberg, benjamini_yekutieli, e_bh, holm
from tests.stats.reference import same

P = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]
METHODS = {"holm": holm, "bh": benjamini_hochberg, "by": benjamini_yekutieli}
THEIRS = {"holm": "holm", "bh": "fdr_bh", "by": "fdr_by"}


@pytest.mark.parametrize(("name", "method"), METHODS.items(), ids=METHODS)
class TestAdjusted:
    @pytest.mark.reference
    def test_reference_values(self, name: str, method: Callable[..., np.ndarray]) -> None:
        same(method(P), f"{name}{P}")

    def test_as_statsmodels(self, name: str, method: Callable[..., np.ndarray]) -> None:
        random = np.random.default_rng(1)
        for size in (1, 2, 7, 300):
            p = np.concatenate((random.random(size), [0.0, 0.5, 0.5, 1.0]))
            wanted = multipletests(p, method=THEIRS[name])[1]
            assert method(p) == pytest.approx(wanted, rel=1e-12)

    def test_missing_ones_stay_missing(self, name: str, method: Callable[..., np.ndarray]) -> None:
        found = method([0.01, np.nan, 0.2])
        assert np.isnan(found[1])
        assert found[[0, 2]] == pytest.approx(method([0.01, 0.2]))

    def test_nothing(self, name: str, method: Callable[..., np.ndarray]) -> None:
        assert method([]).size == 0

    def test_refuses_what_is_no_p(self, name: str, method: Callable[..., np.ndarray]) -> None:
        with pytest.raises(ValueError, match="p-values"):
            method([0.1, 1.2])


class TestEBH:
    @pytest.mark.parametrize(("e", "rejected", "why"), [
        ([59.0, 1, 1], 0, "60 are needed for one of three at .05"),
        ([60.0, 1, 1], 1, "reached"),
        ([31.0, 30, 1], 2, "30 each for two"),
        ([20.0, 20, 20], 3, "20 each for three"),
        ([100.0, 25, 25], 3, "the third carries the second"),
        ([], 0, "nothing"),
    ])  # fmt: skip
    def test_step_up(self, e: list[float], rejected: int, why: str) -> None:
        assert e_bh(np.log(np.array(e))).sum() == rejected, why

    def test_is_bh_of_one_over_e(self) -> None:
        e = np.random.default_rng(2).pareto(0.7, 500) + 0.1
        assert (e_bh(np.log(e)) == (benjamini_hochberg(np.minimum(1 / e, 1)) <= 0.05)).all()

    def test_a_monitor_without_data_counts(self) -> None:
        assert not e_bh([np.log(39), np.nan]).any()
        assert e_bh([np.log(41), np.nan]).tolist() == [True, False]

    def test_refuses_a_level(self) -> None:
        with pytest.raises(ValueError, match="alpha"):
            e_bh([1.0], alpha=0.0)
