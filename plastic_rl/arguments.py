"""Checks of constructor arguments: each names the argument, says what it was and what it may be."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

# More of anything than this is a slip of the finger, and would end in an array that no memory holds.
LARGEST = 1_000_000


class UnknownNameError(ValueError):
    """A name that is not known; the message suggests the nearest one."""


def check_integer(name: str, value: Any, minimum: int, maximum: int = LARGEST) -> int:
    """Return `value` as an int if it is one between `minimum` and `maximum`.

    Raises:
        TypeError: it is no whole number (bools are none).
        ValueError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    number = int(value)
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    if number > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {number}")
    return number


def check_number(name: str, value: Any, minimum: float = -math.inf, maximum: float = math.inf) -> float:
    """Return `value` as a float if it is a finite number between `minimum` and `maximum`.

    Raises:
        TypeError: it is no number (bools are none).
        ValueError: it is out of range, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not minimum <= number <= maximum or math.isinf(number):
        raise ValueError(f"{name} must be a finite number between {minimum:g} and {maximum:g}, got {value!r}")
    return number


def check_flag(name: str, value: Any) -> bool:
    """Return `value` if it is True or False.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def suggestion(name: Any, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: the nearest known one, or all of them where none is near."""
    names = sorted(known)
    nearest = get_close_matches(str(name), names, n=1, cutoff=0.4)
    return f"did you mean {nearest[0]!r}?" if nearest else f"it may be one of: {', '.join(names)}"


def check_name(what: str, name: Any, known: Iterable[str]) -> None:
    """Check that a name is known.

    Raises:
        UnknownNameError: it is not; the message suggests the nearest one.
    """
    names = list(known)
    if name not in names:
        raise UnknownNameError(f"{what} {name!r} is not known; {suggestion(name, names)}")
