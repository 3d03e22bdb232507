"""The public surface of the package as lines of text; `python -m tests.api` writes that of a release to tests/api.txt.

A line is a kind, a name and a signature: what `__all__` of a module lists, with the members that this package gives it;
environments and cores by name; the options of commands. Annotations are left out.
"""

import inspect
import pkgutil
import re
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("api.txt")
MODULES = ("plastic_rl", *(f"plastic_rl.{name}" for name in ("agents", "cores", "envs", "envs.wrappers", "ops")))


def surface() -> list[str]:
    """Return a line for each thing that a user can name."""
    return [line for name in MODULES for line in _entries(name)] + _environments() + _cores() + _commands()


def _entries(module_name: str) -> list[str]:
    module = import_module(module_name)
    values = {entry: getattr(module, entry) for entry in sorted(module.__all__)}
    lines = []
    for entry, value in values.items():
        lines.append(f"{module_name} {entry}{_signature(value)}")
        if inspect.isclass(value):
            listed = [parent for parent in value.__mro__[1:] if parent in values.values()]
            lines += [f"{module_name} {entry}.{member}" for member in _members(value, listed)]
    return lines


def _members(cls: type, listed: list[type]) -> list[str]:
    """Return the public methods and properties that this package gives a class and that no listed parent has."""
    own = [vars(parent) for parent in cls.__mro__ if parent.__module__.startswith("plastic_rl")]
    everything = [(name, value) for members in own for name, value in members.items()]
    names = {name for name, value in everything if inspect.isroutine(value) or isinstance(value, property)}
    found = {name: inspect.getattr_static(cls, name) for name in sorted(names) if not name.startswith("_")}
    inherited = [vars(parent).get(name) for parent in listed for name in found]
    return [f"{name}{_signature(value)}" for name, value in found.items() if value not in inherited]


def _signature(value: Any, without: tuple[str, ...] = ("self",), **defaults: Any) -> str:
    """Return a signature without annotations and private parameters, with some defaults replaced."""
    if not (inspect.isclass(value) or inspect.isroutine(value)) or isinstance(value, cached_property):
        return ""
    parameters = [
        parameter.replace(annotation=parameter.empty, default=defaults.get(name, parameter.default))
        for name, parameter in inspect.signature(value).parameters.items()
        if not name.startswith("_") and name not in without
    ]
    return str(inspect.Signature(parameters))


def _environments() -> list[str]:
    from plastic_rl.envs.registration import ENVIRONMENTS
    from plastic_rl.envs.scores import find_task

    tasks = {env_id: find_task(env_id) for env_id in sorted(f"plastic_rl/{name}" for name in ENVIRONMENTS)}
    return [f"environment {env_id}{_signature(task[0], ('num_envs',), **task[1])}" for env_id, task in tasks.items()]


def _cores() -> list[str]:
    from plastic_rl.cores import registry

    found = {name: registry._find_core(name) for name in registry.registered_cores()}
    return [f"core {name}{_signature(core, ('input_size',), **defaults)}" for name, (core, defaults) in found.items()]


def _commands() -> list[str]:
    import plastic_rl.scripts

    lines = []
    for command in sorted(module.name for module in pkgutil.iter_modules(plastic_rl.scripts.__path__)):
        module = import_module(f"plastic_rl.scripts.{'zoo.options' if command == 'train' else command}")
        parser = module.make_parser() if command == "train" else getattr(module, "PARSER", None)
        actions = parser._actions if parser else []
        if command == "train":  # the others are the Zoo's
            actions = actions[[action.dest for action in actions].index("core") :]
        options = [" ".join(action.option_strings) or action.dest for action in actions if action.dest != "help"]
        lines += [f"command {command} {option}" for option in options]
    return lines


def untold(released: list[str], now: list[str], told: str) -> list[str]:
    """Return the lines that differ between two surfaces, and that a text does not tell of by a name in backticks."""
    changed = sorted(set(released) ^ set(now))
    return [line for line in changed if not any(re.search(f"`{re.escape(n)}[`(]", told) for n in _names_of(line))]


def _names_of(line: str) -> set[str]:
    """Return what may tell of a line: `make_core`; `Task` or `Task.step`; `Maze-v0`; `evaluate` or `--episodes`."""
    words = line.partition("(")[0].split()[1:]
    return {*words, *(word.partition(".")[0] for word in words), *(word.rpartition("/")[2] for word in words)}


if __name__ == "__main__":
    from plastic_rl import __version__

    FILE.write_text("\n".join([f"plastic_rl {__version__}", *surface()]) + "\n")
