"""All commands of plastic_rl: `plastic-rl COMMAND`, or `python -m plastic_rl COMMAND`."""

import sys
from importlib import import_module

from plastic_rl.arguments import suggestion
from plastic_rl.scripts import command, refuse

NAMES = ("train", "evaluate", "watch", "plot", "export", "sweep", "reproduce", "data", "benchmark", "list")
COMMANDS = {**{name: f"plastic_rl.scripts.{name}" for name in NAMES}, "zoo": "plastic_rl.scripts.zoo.commands"}


@command
def main(argv: list[str]) -> None:
    """Run the command that the first word names with the words after it."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: plastic-rl [--version] COMMAND [--help] ...\n")
        for name, module in COMMANDS.items():
            print(f"    {name:<10} {(import_module(module).__doc__ or '').strip().partition(chr(10))[0]}")
        return print("\nTo begin with: plastic-rl train -P")
    if argv[0] == "--version":
        return print(import_module("plastic_rl").__version__)
    if argv[0] not in COMMANDS:
        refuse(f"command {argv[0]!r} is not known; {suggestion(argv[0], COMMANDS)}")
    sys.argv[0] = f"plastic-rl {argv[0]}"
    import_module(COMMANDS[argv[0]]).main(argv[1:])
