"""Values that nobody should pass, and what must come of them: a right result, or an error that names an argument."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plastic_rl.arguments import LARGEST

NUMBERS = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.integers(min_value=LARGEST + 1) | st.integers(max_value=-LARGEST),  # between, things would only be slow
    st.floats(),
    st.sampled_from([2**31, 2**63, 10**400, np.float32(2.5), np.int64(3), np.nan, 1j]),
)
JUNK = st.one_of(
    NUMBERS,
    st.none(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(st.one_of(NUMBERS, st.text(max_size=2)), max_size=3),
    st.tuples(NUMBERS, NUMBERS),
    st.sampled_from([{}, {"a": 1}, object(), int, np.zeros(2), np.zeros((2, 2), "U1"), range(3)]),
)


def spoilt(good: dict[str, st.SearchStrategy]) -> st.SearchStrategy[dict[str, Any]]:
    """Return arguments, most of them good or left out, up to two of them junk."""
    names = st.lists(st.sampled_from(sorted(good)), max_size=2, unique=True)
    return st.tuples(st.fixed_dictionaries({}, optional=good), names, st.tuples(JUNK, JUNK)).map(
        lambda drawn: {**drawn[0], **dict(zip(drawn[1], drawn[2], strict=False))}
    )


def works_or_names(call: Callable[[], Any], names: Iterable[str], *errors: type[Exception]) -> Any:
    """Return what a call returns, or None where it raises an error that names one of the arguments."""
    names = list(names)
    try:
        return call()
    except (TypeError, ValueError, *errors) as error:
        if any(re.search(rf"\b{name}\b", str(error)) for name in names):
            return None
        raise AssertionError(f"{type(error).__name__} names none of {names}: {error}") from error


def fuzz(examples: int, check: Callable[..., None], *strategies: st.SearchStrategy) -> None:
    """Run a check on so many examples, the same ones each time."""
    quiet = settings(max_examples=examples, deadline=None, database=None, derandomize=True,
                     suppress_health_check=list(HealthCheck))  # fmt: skip
    quiet(given(*strategies)(check))()
