"""The examples of every module of `app.stats` run and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import app.stats

MODULES = sorted(module.name for module in pkgutil.iter_modules(app.stats.__path__, "app.stats."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert found >= 300
