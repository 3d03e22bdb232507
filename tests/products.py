"""Products of parameters: the fast tests take every value, or every pair of values; the slow ones every combination."""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations, product
from typing import Any

import pytest


def crossed(*axes: Iterable[Any], meet: int = 2) -> list[Any]:
    """Return all combinations of values, one of each axis, for `pytest.mark.parametrize`.

    Only those that are needed for all values of any `meet` axes to meet in some test are fast; the rest is marked slow.
    """
    values = [list(axis) for axis in axes]
    left = list(product(*(range(len(axis)) for axis in values)))

    def meetings(places: tuple[int, ...]) -> set[tuple[Any, ...]]:
        return set(combinations(enumerate(places), meet))

    def case(places: tuple[int, ...], *marks: Any) -> Any:
        return pytest.param(*(axis[place] for axis, place in zip(values, places, strict=True)), marks=marks)

    def worth(places: tuple[int, ...]) -> tuple[int, int]:
        """How much that is missing it brings together, and how seldom its values were taken so far."""
        return len(meetings(places) & missing), -sum(taken[value] for value in enumerate(places))

    fast: list[tuple[int, ...]] = []
    missing, taken = set().union(*map(meetings, left)), Counter()
    while missing:
        best = max(left, key=worth)
        left.remove(best)
        fast.append(best)
        taken.update(enumerate(best))
        missing -= meetings(best)
    return [case(places) for places in fast] + [case(places, pytest.mark.slow) for places in left]
