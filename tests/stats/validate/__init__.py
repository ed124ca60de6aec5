"""`./dev validate`: every registered check at its full replications, beside its broken variant, written to a page."""

import importlib
import pkgutil

from tests.stats import simulations
from tests.stats.simulations.registry import CHECKS, Check

PROMISED = (*(f"V{i}" for i in range(1, 28)), *(f"B{i}" for i in range(1, 6)))


def checks() -> dict[str, Check]:
    """All of them, in the order of the plan; importing a module registers its checks."""
    for module in pkgutil.iter_modules(simulations.__path__, f"{simulations.__name__}."):
        importlib.import_module(module.name)
    return dict(sorted(CHECKS.items(), key=lambda item: PROMISED.index(item[0])))
