"""Run a grid of trainings: `plastic-rl sweep FILE.yaml`.

On this machine, several at a time, or with `--address` on a Ray cluster whose machines see one file system. A run is
`train` in a process of its own. Where that process or its machine is lost, the run goes on from its last checkpoint.
The same command again goes on with a sweep that was stopped: a finished run is never run again, one that failed is.
docs/sweeps.md says what the file may hold.

Leaves, in the output folder, the run folders and `results.csv`; `plot` reads either.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from plastic_rl.scripts import CommandParser, command
from plastic_rl.scripts.experiments.grid import read_sweep
from plastic_rl.scripts.experiments.runner import add_runner_options, run_all, train_run


def make_parser() -> CommandParser:
    """Return the command's parser."""
    parser = CommandParser("sweep", __doc__)
    parser.add_argument("file", help="what to run, in YAML")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: sweeps/ and the file's name")
    parser.add_argument("--dry-run", action="store_true", help="print the command lines of the runs, and run nothing")
    add_runner_options(parser)
    return parser


@command
def main(argv: Sequence[str]) -> None:
    """Run what is missing of a sweep."""
    args = make_parser().parse_args(argv)
    runs = read_sweep(args.file)
    if args.dry_run:
        for run in runs:
            print(run.name, *run.argv)
        return
    output = Path(args.output or f"sweeps/{Path(args.file).stem}").resolve()
    from plastic_rl.scripts.experiments.table import Table

    table = Table(output, runs)
    waiting = [run for run in runs if run.name not in table.finished]
    print(f"{len(runs)} runs, {len(runs) - len(waiting)} of them finished before; {table.file}")
    work = partial(train_run, runs=table.runs_folder, here=os.getcwd())
    errors = run_all(waiting, work, table.add, args.jobs, args.address)
    table.print(errors)
    if errors:
        raise SystemExit(1)
