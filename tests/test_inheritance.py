"""No path of inheritance has more than three classes of litzoo."""

import importlib
import inspect
import pkgutil

import pytest

MOST = 3


def classes_of(name):
    """Returns the classes that a package defines."""
    package = importlib.import_module(f"litzoo.{name}")
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"litzoo.{name}.")]
    found = {each for path in names for each in vars(importlib.import_module(path)).values() if inspect.isclass(each)}
    return [each for each in found if each.__module__.startswith(f"litzoo.{name}.")]


def depth(owner):
    return 1 + max((depth(base) for base in owner.__bases__ if base.__module__.startswith("litzoo.")), default=0)


@pytest.mark.parametrize("name", ["callbacks", "datamodules", "lit_modules", "scripts"])
def test_inheritance_is_at_most_three_deep(name):
    found = classes_of(name)
    assert found
    assert {each.__qualname__: depth(each) for each in found if depth(each) > MOST} == {}
