"""Products of parameters: the fast tests take every pair of values, the slow ones every combination."""

from collections.abc import Iterable
from itertools import combinations, product
from typing import Any

import pytest


def crossed(*axes: Iterable[Any]) -> list[Any]:
    """Return all combinations of values, one of each axis, for `pytest.mark.parametrize`.

    Those that are needed for each pair of values of two axes to meet in some test are fast; the others are marked slow.
    """
    values = [list(axis) for axis in axes]
    left = list(product(*(range(len(axis)) for axis in values)))
    fast, open_pairs = [], set().union(*map(_pairs, left))
    while open_pairs:
        best = max(left, key=lambda places: len(_pairs(places) & open_pairs))
        left.remove(best)
        fast.append(best)
        open_pairs -= _pairs(best)
    return [_param(values, places) for places in fast] + [_param(values, places, pytest.mark.slow) for places in left]


def _pairs(places: tuple[int, ...]) -> set[tuple[Any, ...]]:
    return set(combinations(enumerate(places), 2)) if len(places) > 1 else {places}


def _param(values: list[list[Any]], places: tuple[int, ...], *marks: Any) -> Any:
    return pytest.param(*(axis[place] for axis, place in zip(values, places, strict=True)), marks=marks)
