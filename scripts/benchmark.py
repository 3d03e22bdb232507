"""Measure how fast things are: ops, cores, envs or training.

plastic-rl benchmark training --n-envs 16 64
plastic-rl benchmark ops --help
"""

import argparse
from collections.abc import Sequence
from importlib import import_module

from plastic_rl.scripts import command, command_parser

BENCHMARKS = ("ops", "cores", "envs", "training")  # modules with `add_arguments` and `run`


@command
def main(argv: Sequence[str]) -> None:
    """Run the benchmark that the command line names."""
    parser = command_parser("benchmark", __doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    if not argv or argv[0] not in BENCHMARKS:
        parser.parse_args(argv)
    benchmark = import_module(f"plastic_rl.scripts.benchmarks.{argv[0]}")
    parser = argparse.ArgumentParser(prog=f"plastic-rl benchmark {argv[0]}", description=benchmark.__doc__,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)  # fmt: skip
    benchmark.add_arguments(parser)
    benchmark.run(parser.parse_args(argv[1:]))


if __name__ == "__main__":
    main()
