"""Every simulated check in its smoke form, and the same band against its broken variant, which it must reject."""

import numpy as np
import pytest

from tests.stats.simulations.registry import Check
from tests.stats.validate import PROMISED, checks

CHECKS = checks()


def test_the_registry_holds_what_was_promised() -> None:
    assert tuple(CHECKS) == PROMISED


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
class TestEveryCheck:
    def test_holds(self, check: Check) -> None:
        found = check.run(check.smoke, np.random.default_rng(check.seed))
        assert found.passed, found

    def test_rejects_a_broken_variant(self, check: Check) -> None:
        found = check.broken(check.smoke, np.random.default_rng(check.seed))
        assert not found.passed, (check.broken_name, found)
