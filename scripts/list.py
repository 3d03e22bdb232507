"""List environments, algorithms and cores, with their arguments.

    plastic-rl list
    plastic-rl list cores

Names are those that `--env`, `--algo` and `--core` of `train` take.
"""

import inspect
import pkgutil
import shutil
from textwrap import fill
from typing import Any

from plastic_rl.arguments import check_name
from plastic_rl.scripts import CommandParser, command

KINDS = ("environments", "algorithms", "cores")

PARSER = CommandParser("list", __doc__)
PARSER.add_argument("kind", nargs="*", metavar="KIND", help=f"some of {', '.join(KINDS)}; default: all")


@command
def main(argv: list[str]) -> None:
    """List as the command line says."""
    width = max(60, min(120, shutil.get_terminal_size().columns))
    kinds = PARSER.parse_args(argv).kind or KINDS
    for kind in kinds:
        check_name("kind", kind, KINDS)
    for kind in kinds:
        print(f"{kind.capitalize()}\n")
        for name, found in _found(kind).items():
            print(f"  {name}")
            for line in _about(found):
                print(fill(line, width, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False))
        print()


def _found(kind: str) -> dict[str, Any]:
    """Return what there is of a kind, by name; torch is loaded for algorithms and cores only."""
    if kind == "environments":
        from plastic_rl.envs.registration import ENVIRONMENTS
        from plastic_rl.envs.scores import find_task

        return {env_id: find_task(env_id) for env_id in (f"plastic_rl/{name}" for name in ENVIRONMENTS)}
    if kind == "algorithms":
        from plastic_rl.scripts.runs.folder import ALGORITHMS, OURS

        return {**ALGORITHMS, **{name: pkgutil.resolve_name(ALGORITHMS[name]) for name in OURS}}
    from plastic_rl.cores import registry

    return {name: registry._find_core(name) for name in registry.registered_cores()}


def _about(found: Any) -> list[str]:
    """Return the lines about what was found: a class, one with the defaults of its arguments, or where it is."""
    if isinstance(found, str):
        return [found.replace(":", ".")]
    cls, defaults = found if isinstance(found, tuple) else (found, None)
    summary = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ")
    arguments = [
        name if (default := (defaults or {}).get(name, parameter.default)) is parameter.empty else f"{name}={default!r}"
        for name, parameter in inspect.signature(cls).parameters.items()
        if name not in ("input_size", "num_envs") and parameter.kind is not parameter.VAR_KEYWORD
    ]
    if defaults:
        fixed = ", ".join(f"{name}={value!r}" for name, value in defaults.items())
        summary = f"{cls.__name__} with {fixed}. {summary}"
    return [summary] if defaults is None else [summary, ", ".join(arguments)]
