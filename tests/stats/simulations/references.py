"""V24: every reference value is reproduced. The tests marked `reference` are run, and what they compared is counted."""

import importlib
import pkgutil
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from tests import stats as package
from tests.stats.reference import COMPARED, VALUES, Compared
from tests.stats.simulations.registry import Check, Result, register

# These run the checks themselves.
RUNNERS = {"test_simulations", "test_validation"}


def marked() -> Iterator[Callable[[], None]]:
    """Every test marked `reference`, once for each row of its parameters."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("test_")]
    for module in (importlib.import_module(f"{package.__name__}.{name}") for name in names if name not in RUNNERS):
        for name, value in vars(module).items():
            if name.startswith("Test"):
                for function in vars(value).values():
                    yield from calls(function, value)
            elif name.startswith("test_"):
                yield from calls(value)


def calls(function: Any, holder: type | None = None) -> Iterator[Callable[[], None]]:
    marks = [*marks_of(function), *marks_of(holder)]
    if "reference" not in {mark.name for mark in marks}:
        return
    tables = [parameters(*mark.args[:2]) for mark in marks if mark.name == "parametrize"]
    for chosen in product(*tables):
        bound = partial(function, holder()) if holder else function
        yield partial(bound, **ChainMap(*chosen))


def marks_of(of: Any) -> list[pytest.Mark]:
    return list(getattr(of, "pytestmark", []))


def parameters(names: str | Iterable[str], rows: Iterable[Any]) -> list[dict[str, Any]]:
    if isinstance(names, str):
        return [{names: value} for value in rows]
    return [dict(zip(names, row, strict=True)) for row in rows]


@cache
def compared() -> tuple[Compared, ...]:
    COMPARED.clear()
    for call in marked():
        call()
    return tuple(COMPARED)


def missing() -> list[str]:
    """Keys that no test compares in full."""
    seen = {(one.key, part) for one in compared() for part in one.part}
    return [key for key, value in VALUES.items() if any((key, i) not in seen for i in range(np.size(value)))]


def judged(*, as_float32: bool = False) -> Result:
    wrong = {one.key for one in compared() if one.off_by(as_float32=as_float32) > 1} | set(missing())
    closest = max(one.off_by(as_float32=as_float32) for one in compared())
    detail = f"{len(VALUES)} results, {len(compared())} comparisons; the farthest at {closest:.3g} of its tolerance"
    return Result(float(len(wrong)), "= 0", not wrong, detail)


def v24(_: int, __: Generator) -> Result:
    return judged()


def v24_broken(_: int, __: Generator) -> Result:
    return judged(as_float32=True)


register(Check("V24", "reference values that are not reproduced", v24, 84, 84, v24_broken, "ours rounded to 32 bits"))
