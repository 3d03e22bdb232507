"""Checks of constructor arguments: each names the argument, says what it was and what it may be."""

from numbers import Integral, Real
from typing import Any


def check_integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """Return `value` as an int if it is one between `minimum` and `maximum`.

    Raises:
        TypeError: it is no whole number (bools are none).
        ValueError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    number = int(value)
    if number < minimum or (maximum is not None and number > maximum):
        upper = "" if maximum is None else f" and at most {maximum}"
        raise ValueError(f"{name} must be at least {minimum}{upper}, got {number}")
    return number


def check_number(name: str, value: Any, minimum: float = float("-inf"), maximum: float = float("inf")) -> float:
    """Return `value` as a float if it is a finite number between `minimum` and `maximum`.

    Raises:
        TypeError: it is no number (bools are none).
        ValueError: it is out of range, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if not minimum <= number <= maximum or number in (float("inf"), float("-inf")):
        raise ValueError(f"{name} must be a finite number between {minimum:g} and {maximum:g}, got {number}")
    return number


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`.

    Raises:
        ValueError: it is not.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return str(value)
