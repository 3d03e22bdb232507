"""The examples in the docstrings of public classes run."""

import doctest
import inspect
from importlib import import_module

import pytest

from tests.api import MODULES

FOUND = [getattr(module, name) for module in map(import_module, MODULES) for name in module.__all__]
CLASSES = {f"{found.__module__}.{found.__name__}": found for found in FOUND if inspect.isclass(found)}
EXAMPLES = {name: found for name, found in CLASSES.items() if ">>>" in (found.__doc__ or "")}


def test_every_public_class_has_an_example():
    assert not sorted(set(CLASSES) - set(EXAMPLES))


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_example_of_a_class_runs(name):
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name].__doc__, {}, name, None, None)
    said = []
    assert doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed == 0, "".join(said)
