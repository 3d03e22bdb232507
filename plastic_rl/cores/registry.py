"""Cores by name."""

import inspect
from collections.abc import Callable
from importlib import import_module
from types import NoneType
from typing import Any, get_args

from plastic_rl.arguments import LARGEST, check_flag, check_integer, check_number, suggestion
from plastic_rl.cores.base import MOST_UNITS, RecurrentCore

CoreFactory = Callable[..., RecurrentCore]

_CORES: dict[str, tuple[CoreFactory, dict[str, Any]]] = {}


def register_core(name: str, factory: CoreFactory, **defaults: Any) -> None:
    """Register a core under a name of its own.

    Args:
        name: what `make_core`, `policy_kwargs["core"]` and `--core` will know it by.
        factory: a `RecurrentCore` class, or a function, called with `input_size` and keyword arguments.
        defaults: keyword arguments that this name stands for; a caller may override them.

    Raises:
        ValueError: another factory is registered under that name.
    """
    if name in _CORES and _CORES[name] != (factory, defaults):
        raise ValueError(f"name {name!r} is taken by another core; registered are: {', '.join(registered_cores())}")
    _CORES[name] = (factory, defaults)


def registered_cores() -> list[str]:
    """Return the registered names, sorted."""
    return sorted(_CORES)


def make_core(core: str | CoreFactory, input_size: int, *, batch_first: bool = False, **kwargs: Any) -> RecurrentCore:
    """Build a core.

    Args:
        core: a registered name (`"plastic"`), `"module:Class"` for a core in one's own module, or the class itself.
        input_size: I, the number of features a step reads.
        batch_first: whether a call of the core takes and returns sequences as (B, T, ...).
        kwargs: the core's own arguments, such as `hidden_size=100`.

    Raises:
        ValueError: no core has that name, or the core has no argument of that name, and the message suggests the
            nearest; or a number is out of range.
        TypeError: an argument, or what was built, is of another type than it must be.
    """
    factory, defaults = _find_core(core)
    check_integer("input_size", input_size, 1)
    check_core(core, kwargs)
    built = factory(input_size, **{**defaults, **kwargs})
    if not isinstance(built, RecurrentCore):
        raise TypeError(f"core {core!r} must be a RecurrentCore, not {type(built).__name__}")
    built.batch_first = check_flag("batch_first", batch_first)
    return built


def check_core(core: str | CoreFactory, kwargs: dict[str, Any]) -> None:
    """Check that a core takes these arguments; raises what `make_core` raises."""
    factory, _ = _find_core(core)
    known = core_arguments(core)
    parameters = inspect.signature(factory).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for name, value in kwargs.items():
        if name in known:
            _check_type(name, value, parameters[name].annotation)
        elif not takes_any:
            raise ValueError(f"core {core!r} has no argument {name!r}; {suggestion(name, known)}")


def _check_type(name: str, value: Any, annotation: Any) -> None:
    """Check what every core would have to check for itself: numbers that are none, or are beyond all reason."""
    kinds = get_args(annotation) or (annotation,)  # of a union, such as int | None
    if value is None and NoneType in kinds:
        return
    if int in kinds:
        check_integer(name, value, -MOST_UNITS, MOST_UNITS)
    elif float in kinds:
        check_number(name, value, -LARGEST, LARGEST)
    elif bool in kinds:
        check_flag(name, value)


def core_arguments(core: str | CoreFactory) -> list[str]:
    """Return the names of a core's own arguments, without `input_size`.

    Raises:
        ValueError: no core has that name.
    """
    factory, _ = _find_core(core)
    return [
        name
        for name, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and name != "input_size"
    ]


def core_defaults(core: str | CoreFactory) -> dict[str, Any]:
    """Return the arguments that a core's name stands for, such as `rule="neuromodulated"`.

    Raises:
        ValueError: no core has that name.
    """
    return dict(_find_core(core)[1])


def _find_core(core: str | CoreFactory) -> tuple[CoreFactory, dict[str, Any]]:
    if not isinstance(core, str):
        try:
            inspect.signature(core)
        except (TypeError, ValueError):
            message = f"core must be a name, 'module:Class', or a RecurrentCore class, not {core!r}"
            raise TypeError(message) from None
        return core, {}
    if core in _CORES:
        return _CORES[core]
    module_name, colon, class_name = core.partition(":")
    if not colon:
        raise ValueError(f"core {core!r} is not registered; {suggestion(core, registered_cores())}")
    try:
        factory = getattr(import_module(module_name), class_name)
        inspect.signature(factory)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(f"core {core!r} cannot be imported: {error}") from error
    return factory, {}
