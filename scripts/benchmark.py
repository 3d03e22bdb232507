"""Measure how fast things are: ops, cores, envs or training.

    plastic-rl benchmark training --n-envs 16 64
    plastic-rl benchmark ops --help

Compare the ratios: the times are those of a machine.
"""

import argparse
from importlib import import_module

from plastic_rl.scripts import CommandParser, command

BENCHMARKS = ("ops", "cores", "envs", "training")  # modules with `add_arguments` and `run`


@command
def main(argv: list[str]) -> None:
    """Run the benchmark that the command line names."""
    parser = CommandParser("benchmark", __doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    name = parser.parse_args(argv[:1]).name
    benchmark = import_module(f"plastic_rl.scripts.benchmarks.{name}")
    defaults = argparse.ArgumentDefaultsHelpFormatter
    parser = CommandParser(f"benchmark {name}", benchmark.__doc__, formatter_class=defaults)
    benchmark.add_arguments(parser)
    benchmark.run(parser.parse_args(argv[1:]))
