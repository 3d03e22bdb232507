"""Benchmarks: `python -m plastic_rl.scripts.benchmark ops` and the others, each with `--help`."""

import argparse
from collections.abc import Sequence
from importlib import import_module

# Command, the module that has its `add_arguments` and `run`, and what it measures.
BENCHMARKS = {
    "ops": ("plastic_rl.scripts.benchmarks.ops", "plastic_scan, its reference and torch's recurrent layers"),
    "cores": ("plastic_rl.scripts.benchmarks.cores", "every core, in training and step by step"),
    "envs": ("plastic_rl.scripts.benchmarks.envs", "steps per second of the environments"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m plastic_rl.scripts.benchmark", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, (module, summary) in BENCHMARKS.items():
        benchmark = import_module(module)
        subparser = commands.add_parser(command, help=summary, description=benchmark.__doc__)
        benchmark.add_arguments(subparser)
        subparser.set_defaults(run=benchmark.run)
    parsed = parser.parse_args(arguments)
    parsed.run(parsed)


if __name__ == "__main__":
    main()
