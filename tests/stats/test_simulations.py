"""Every simulated check in its smoke form, and the same band against its broken variant, which it must reject."""

import importlib
import pkgutil

import numpy as np
import pytest

from tests.stats import simulations
from tests.stats.simulations.registry import CHECKS, Check

for module in pkgutil.iter_modules(simulations.__path__, f"{simulations.__name__}."):
    importlib.import_module(module.name)  # registers its checks


def test_the_registry_holds_what_was_promised() -> None:
    promised = {f"V{i}" for i in (*range(1, 12), 21)} | {f"B{i}" for i in range(1, 6)}
    assert promised <= set(CHECKS)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
class TestEveryCheck:
    def test_holds(self, check: Check) -> None:
        found = check.run(check.smoke, np.random.default_rng(check.seed))
        assert found.passed, found

    def test_rejects_a_broken_variant(self, check: Check) -> None:
        found = check.broken(check.smoke, np.random.default_rng(check.seed))
        assert not found.passed, (check.broken_name, found)
