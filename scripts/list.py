"""List environments, algorithms and cores, with their arguments.

plastic-rl list
plastic-rl list cores
"""

import argparse
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from plastic_rl.scripts import command, command_parser

KINDS = ("environments", "algorithms", "cores")


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("list", __doc__)
    parser.add_argument("kind", nargs="*", metavar="KIND", help=f"some of {', '.join(KINDS)}; default: all")
    return parser


@command
def main(argv: Sequence[str]) -> None:
    """List as the command line says."""
    from plastic_rl.arguments import check_name

    kinds = make_parser().parse_args(argv).kind or KINDS
    for kind in kinds:
        check_name("kind", kind, KINDS)
    rows = {"environments": environments, "algorithms": algorithm_rows, "cores": cores}
    for kind in kinds:
        print(f"{kind.capitalize()}\n")
        for name, about, arguments in rows[kind]():
            print(f"  {name}\n      {about}" + (f"\n      {arguments}" if arguments else ""))
        print()


def environments() -> list[tuple[str, str, str]]:
    """Return the id of each environment, what it is, and its arguments."""
    from plastic_rl.envs.registration import ENVIRONMENTS
    from plastic_rl.envs.scores import find_task

    found = {f"plastic_rl/{name}": find_task(f"plastic_rl/{name}") for name in ENVIRONMENTS}
    return [(name, _about(task[0]), _arguments(task[0], task[1])) for name, task in found.items() if task]


def algorithm_rows() -> list[tuple[str, str, str]]:
    """Return the name of each algorithm for `train --algo`, and what it is."""
    from plastic_rl.scripts.runs.folder import ALGORITHMS, OURS, algorithms

    return [(name, _about(algorithms(name)[0]) if name in OURS else place.replace(":", "."), "")
            for name, place in ALGORITHMS.items()]  # fmt: skip


def cores() -> list[tuple[str, str, str]]:
    """Return the name of each core, what it is, and its arguments."""
    from plastic_rl.cores import registry

    found = {name: registry._find_core(name) for name in registry.registered_cores()}
    return [(name, _about(core), _arguments(core, defaults)) for name, (core, defaults) in found.items()]


def _about(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")


def _arguments(value: Callable[..., Any], defaults: dict[str, Any]) -> str:
    return ", ".join(
        name if (default := defaults.get(name, parameter.default)) is parameter.empty else f"{name}={default!r}"
        for name, parameter in inspect.signature(value).parameters.items()
        if name not in ("input_size", "num_envs") and parameter.kind is not parameter.VAR_KEYWORD
    )


if __name__ == "__main__":
    main()
