"""The fast tests of a product of parameters leave out no value, and no pair of values."""

from itertools import combinations, product

import pytest

from tests.products import crossed

AXES = ["abcd", "efg", "hi", "jkl"]


@pytest.mark.parametrize("meet", [1, 2])
def test_every_value_and_every_pair_is_in_a_fast_test(meet):
    cases = crossed(*AXES, meet=meet)
    assert sorted(case.values for case in cases) == sorted(product(*AXES))
    fast = [case.values for case in cases if not case.marks]
    for axes in combinations(range(4), meet):
        wanted = set(product(*(AXES[axis] for axis in axes)))
        assert {tuple(values[axis] for axis in axes) for values in fast} == wanted
    assert len(fast) <= {1: 4, 2: 18}[meet]
